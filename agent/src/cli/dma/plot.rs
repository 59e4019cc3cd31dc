//! Throughput over size, as a picture (SVG).

use plotters::prelude::*;

use super::bench::Point;
use crate::output::units;

/// Points of the picture, across and down.
const SIZE: (u32, u32) = (900, 560);
/// Colours of the directions, which also differ in brightness.
const COLOURS: [(&str, RGBColor); 2] = [
    ("write", RGBColor(0x1F, 0x4E, 0x9E)),
    ("read", RGBColor(0xE0, 0x7B, 0x1A)),
];

/// The picture, both axes logarithmic.
///
/// # Errors
/// In words, when it cannot be drawn.
pub(super) fn svg(title: &str, points: &[Point]) -> Result<String, String> {
    let mut text = String::new();
    draw(&mut text, title, points).map_err(|error| error.to_string())?;
    Ok(text)
}

fn draw(
    text: &mut String,
    title: &str,
    points: &[Point],
) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
    let sizes = points.iter().map(|point| point.size as f64);
    let rates = points.iter().map(|point| point.bytes_per_second / 1e9);
    let (left, right) = span(sizes, 2.0);
    let (bottom, top) = span(rates, 10.0);
    let area = SVGBackend::with_string(text, SIZE).into_drawing_area();
    let unlike = |_| DrawingAreaErrorKind::LayoutError;
    area.fill(&WHITE).map_err(unlike)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 22))
        .margin(16)
        .x_label_area_size(48)
        .y_label_area_size(72)
        .build_cartesian_2d(
            (left..right).log_scale().base(4.0),
            (bottom..top).log_scale(),
        )
        .map_err(unlike)?;
    chart
        .configure_mesh()
        .x_desc("bytes of a transfer")
        .y_desc("GB/s")
        .x_label_formatter(&|size| units::about(*size as u64))
        .y_label_formatter(&|rate| format!("{rate}"))
        .light_line_style(RGBColor(0xEE, 0xEE, 0xEE))
        .draw()
        .map_err(unlike)?;
    for (direction, colour) in COLOURS {
        let of = |point: &&Point| point.direction == direction;
        let line: Vec<_> = points
            .iter()
            .filter(of)
            .map(|point| (point.size as f64, point.bytes_per_second / 1e9))
            .collect();
        if line.is_empty() {
            continue;
        }
        let series = LineSeries::new(line, colour.stroke_width(2)).point_size(3);
        chart
            .draw_series(series)
            .map_err(unlike)?
            .label(direction)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(RGBColor(0xCC, 0xCC, 0xCC))
        .draw()
        .map_err(unlike)?;
    area.present().map_err(unlike)?;
    Ok(())
}

/// The powers of a base around some values; those around 1 when there are none.
fn span(values: impl Iterator<Item = f64>, base: f64) -> (f64, f64) {
    let values = values.filter(|value| *value > 0.0);
    let (least, most) = values.fold((f64::MAX, f64::MIN_POSITIVE), |(least, most), value| {
        (least.min(value), most.max(value))
    });
    if least > most {
        return (1.0 / base, base);
    }
    let low = base.powf(least.log(base).floor());
    let high = base.powf(most.log(base).ceil());
    (low, if high > low { high } else { low * base })
}
