//! A figure against the number of objects, as a picture: medians as a line, all that was measured as points, and the target.

use std::fmt::Write as _;

use super::figures::float;
use super::measure::{Measure, Target};
use super::write::shown;

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 260.0;
/// Left, right, top, bottom.
const MARGINS: [f64; 4] = [64.0, 112.0, 40.0, 36.0];
/// In colors that can be read on light and on dark ground.
const STYLE: &str = "\
text { font: 12px system-ui, sans-serif; fill: #444 } .title { font-weight: 600 }
.axis { stroke: #999 } .grid { stroke: #ddd } .line { stroke: #0969da; stroke-width: 2; fill: none }
.point { fill: #0969da; fill-opacity: .45 } .target { stroke: #cf222e; stroke-dasharray: 5 4 } .limit { fill: #cf222e }
@media (prefers-color-scheme: dark) { text { fill: #ccc } .axis { stroke: #777 } .grid { stroke: #3a3a3a }
.line { stroke: #58a6ff } .point { fill: #58a6ff } .target { stroke: #ff7b72 } .limit { fill: #ff7b72 } }";

/// A figure at some sizes, each with how many objects it has.
pub fn draw(figure: &[(f64, &Measure)]) -> String {
    let [left, right, top, bottom] = MARGINS;
    let Some((_, first)) = figure.first() else { return String::new() };
    let targets = targets(figure);
    let limits = targets.iter().map(|(limit, _)| *limit);
    let values = figure.iter().flat_map(|(_, it)| it.samples.iter().copied()).chain(limits);
    let most = nice(values.fold(f64::MIN_POSITIVE, f64::max));
    let (low, high) = (figure[0].0.ln(), figure[figure.len() - 1].0.ln());
    // Sizes grow by factors.
    let x = |objects: f64| left + (objects.ln() - low) / (high - low).max(f64::EPSILON) * (WIDTH - left - right);
    let y = |value: f64| HEIGHT - bottom - value / most * (HEIGHT - top - bottom);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\">\n<title>{title}</title>\n<style>{STYLE}</style>\n<text class=\"title\" x=\"8\" y=\"18\">{title}</text>\n",
        title = escaped(&titled(first)),
    );
    for step in 0..=4 {
        let value = most * float(step) / 4.0;
        let (at, class) = (y(value), if step == 0 { "axis" } else { "grid" });
        let end = WIDTH - right;
        let _ = writeln!(svg, "<line class=\"{class}\" x1=\"{left}\" x2=\"{end}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>");
        let (x, y) = (left - 6.0, at + 4.0);
        let _ = writeln!(svg, "<text text-anchor=\"end\" x=\"{x}\" y=\"{y:.1}\">{}</text>", shown(value));
    }
    for (objects, measure) in figure {
        let (x, y) = (x(*objects), HEIGHT - 12.0);
        let size = measure.size;
        let _ =
            writeln!(svg, "<text text-anchor=\"middle\" x=\"{x:.1}\" y=\"{y:.1}\">{size} {}k</text>", objects / 1e3);
    }
    for (limit, told) in &targets {
        let (at, end) = (y(*limit), WIDTH - right);
        let _ = writeln!(svg, "<line class=\"target\" x1=\"{left}\" x2=\"{end}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>");
        let (x, y) = (end + 4.0, at + 4.0);
        let _ = writeln!(svg, "<text class=\"limit\" x=\"{x}\" y=\"{y:.1}\">{told}</text>");
    }
    let place = |(objects, it): &(f64, &Measure)| Some(format!("{:.1},{:.1}", x(*objects), y(it.value()?)));
    let medians: Vec<_> = figure.iter().filter_map(place).collect();
    let _ = writeln!(svg, "<polyline class=\"line\" points=\"{}\"/>", medians.join(" "));
    for (objects, measure) in figure {
        for sample in &measure.samples {
            let (x, y) = (x(*objects), y(*sample));
            let _ = writeln!(svg, "<circle class=\"point\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>");
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn limit(target: Target) -> Option<f64> {
    match target {
        Target::AtLeast(limit) | Target::AtMost(limit) => Some(limit),
        Target::None => None,
    }
}

/// The targets, each with its words, and at which sizes it counts where that is not all.
fn targets(figure: &[(f64, &Measure)]) -> Vec<(f64, String)> {
    let mut targets: Vec<(Target, Vec<&str>)> = vec![];
    for (_, it) in figure.iter().filter(|(_, it)| it.target != Target::None) {
        match targets.iter_mut().find(|(target, _)| *target == it.target) {
            Some((_, sizes)) => sizes.push(it.size),
            None => targets.push((it.target, vec![it.size])),
        }
    }
    let told = |(target, sizes): (Target, Vec<&str>)| {
        let at = if sizes.len() == figure.len() { String::new() } else { format!(" at {}", sizes.join(", ")) };
        Some((limit(target)?, escaped(&format!("{target}{at}"))))
    };
    targets.into_iter().filter_map(told).collect()
}

fn titled(measure: &Measure) -> String {
    if measure.unit.is_empty() { measure.name.clone() } else { format!("{} [{}]", measure.name, measure.unit) }
}

/// The next larger number that is easy to read.
fn nice(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 1.2, 1.6, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0]
        .into_iter()
        .map(|it| it * power)
        .find(|it| *it >= value)
        .unwrap_or(value)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
