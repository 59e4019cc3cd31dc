//! What the design was built with, and when.

use afi_proto::Family;

use super::shell::name;
use crate::FailureCode;
use crate::finding::{Finding, quoted};
use crate::manifest::key::Key;
use crate::manifest::{Lines, Value};
use crate::report::{Manifest, Report};

/// A release of Vivado: year and number.
type Release = (u16, u8);

/// The oldest and newest release that the documents name: the table of `AFI_Manifest.md` for F1;
/// `supported_vivado_versions.txt` of F2, and the release that its build script shortens.
const fn releases(family: Family) -> (Release, Release) {
    match family {
        Family::F1 => ((2019, 1), (2021, 2)),
        Family::F2 => ((2023, 2), (2024, 1)),
    }
}

pub(super) fn check(
    lines: &Lines,
    family: Option<Family>,
    manifest: &mut Manifest,
    report: &mut Report,
) {
    let value_of = |key| lines.get(key).filter(|value| !value.text.is_empty());
    let text_of = |key| value_of(key).map(|value| value.text.clone());
    manifest.tool_version = text_of(Key::ToolVersion);
    manifest.hdk_version = text_of(Key::HdkVersion);
    manifest.date = text_of(Key::Date);
    if let Some(value) = value_of(Key::ToolVersion) {
        check_tool(value, family, report);
    }
    if let Some(value) = value_of(Key::Date) {
        check_date(value, family, report);
    }
}

fn check_tool(value: &Value, family: Option<Family>, report: &mut Report) {
    let at = |found: Finding| found.at(value.place.clone()).seen(quoted(&value.text));
    let code = FailureCode::ToolVersionInvalid;
    let Some(release) = release(&value.text, family) else {
        let found = at(Finding::error(code, "tool_version is no release of Vivado"));
        let wanted = "'v', the year and the number of the release, such as v2021.2";
        let fix = "write what 'vivado -version' prints, as far as the second number";
        report.add(found.wanted(wanted).fix(fix));
        return;
    };
    let Some(family) = family else { return };
    let (oldest, newest) = releases(family);
    let text = |(year, number): Release| format!("v{year}.{number}");
    let wanted = format!("{} to {} on {}", text(oldest), text(newest), name(family));
    if release < oldest {
        let found = "the documents do not name a release of Vivado this old";
        let found = at(Finding::warning(code, found)).wanted(wanted);
        report.add(found.fix("build the design with a newer one"));
    } else if release > newest {
        let found = "this release of Vivado is newer than the documents that this check knows";
        report.add(at(Finding::note(found)).wanted(wanted));
    }
}

/// `v2021.2`; the documentation of F2 shows `2024.1`, too.
fn release(text: &str, family: Option<Family>) -> Option<Release> {
    let number = match text.strip_prefix('v') {
        Some(number) => number,
        None if family == Some(Family::F2) => text,
        None => return None,
    };
    let (year, number) = number.split_once('.')?;
    let digits =
        |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(year, 4) || !digits(number, 1) {
        return None;
    }
    Some((year.parse().ok()?, number.parse().ok()?))
}

fn check_date(value: &Value, family: Option<Family>, report: &mut Report) {
    if is_date(&value.text) {
        return;
    }
    let message = "date is not written as the documents show it";
    // There the script puts whatever tag it was given.
    let found = if family == Some(Family::F2) {
        Finding::note(message)
    } else {
        Finding::warning(FailureCode::ManifestParseFailed, message)
    };
    report.add(
        found
            .at(value.place.clone())
            .seen(quoted(&value.text))
            .wanted("YY_MM_DD-HHMMSS, such as 24_01_31-235959")
            .fix("write it so, or remove the line: it is optional"),
    );
}

/// `YY_MM_DD-HHMMSS`, and with four digits of the year as the scripts of F2 write it.
pub(crate) fn is_date(text: &str) -> bool {
    let number = |text: &str, digits: usize| {
        let are_digits = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
        are_digits.then(|| text.parse::<u32>().ok()).flatten()
    };
    let parse = || {
        let (date, time) = text.split_once('-')?;
        let mut date = date.split('_');
        let year = date.next()?;
        number(year, 2).or_else(|| number(year, 4))?;
        let (month, day) = (number(date.next()?, 2)?, number(date.next()?, 2)?);
        let time = number(time, 6)?;
        let (hour, minute, second) = (time / 10_000, time / 100 % 100, time % 100);
        let is_possible = (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && hour < 24
            && minute < 60
            && second < 61;
        Some(is_possible && date.next().is_none())
    };
    parse().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_build_scripts() {
        for text in ["24_01_31-235959", "2024_08_21-122520"] {
            assert!(is_date(text), "{text}");
        }
        for text in [
            "",
            "24_13_01-000000",
            "24-01-31-235959",
            "24_01_31-2359",
            "24_01_31_x-000000",
            "é4_01_31-000000",
        ] {
            assert!(!is_date(text), "{text}");
        }
    }

    #[test]
    fn releases_are_years_and_numbers() {
        assert_eq!(release("v2021.2", None), Some((2021, 2)));
        assert_eq!(release("2024.1", Some(Family::F2)), Some((2024, 1)));
        for text in [
            "2021.2",
            "v2023.2.2",
            "v2019.1_AR73068",
            "v21.2",
            "v2021.",
            "latest",
        ] {
            assert_eq!(release(text, Some(Family::F1)), None, "{text}");
        }
    }
}
