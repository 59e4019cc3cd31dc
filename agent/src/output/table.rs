//! Columns that line up.

/// Rows under a header, each column as wide as its widest cell, two spaces between; no space at the
/// end of a line. Every row has as many cells as the header.
pub fn columns<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = header.map(|cell| cell.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = line(&header.map(str::to_owned), &widths);
    for row in rows {
        text += &line(row, &widths);
    }
    text
}

/// Names and values, the values in a column of their own, each line indented.
pub fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let pairs: Vec<_> = pairs.into_iter().collect();
    let width = pairs.iter().map(|(name, _)| name.chars().count()).max();
    let width = width.unwrap_or(0);
    pairs
        .iter()
        .map(|(name, value)| format!("  {name:width$}  {value}").trim_end().to_owned() + "\n")
        .collect()
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let padded: Vec<String> = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell:width$}"))
        .collect();
    padded.join("  ").trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_without_spaces_at_the_end() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        let text = columns(
            ["A", "BBB", "C"],
            &[row(["größer", "b", ""]), row(["a", "b", "cc"])],
        );
        assert_eq!(text, "A       BBB  C\ngrößer  b\na       b    cc\n");
    }

    #[test]
    fn pairs_line_up() {
        let text = pairs([("a", "1".to_owned()), ("bbb", String::new())]);
        assert_eq!(text, "  a    1\n  bbb\n");
    }
}
