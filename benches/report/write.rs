//! The report: `REPORT.md` for people, `report.json` for programs, and `charts/` for both.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs;
use std::path::Path;

use serde_json::json;

use super::measure::{Measure, Measures, Target};
use super::{PARTS, SIZES, chart, machine};

/// What somebody has to say of figures, for each part of the report: below a heading with its name.
const NOTES: &str = include_str!("../notes.md");
const PROFILE: &str = include_str!("../PROFILE.md");

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, ">= {}", shown(*least)),
            Self::AtMost(most) => write!(f, "<= {}", shown(*most)),
            Self::None => Ok(()),
        }
    }
}

/// What whoever waits sees of a figure.
pub fn line(measure: &Measure) -> String {
    let Measure { size, name, target, .. } = measure;
    let value = value(measure);
    format!("{size:1} {name}: {value} {target} {}", verdict(measure)).trim_end().to_owned()
}

/// Three digits of it.
pub fn shown(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => return "0".into(),
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        0.1.. => 3,
        0.01.. => 4,
        0.001.. => 5,
        _ => return format!("{value:.2e}"),
    };
    let shown = format!("{value:.digits$}");
    if shown.contains('.') { shown.trim_end_matches('0').trim_end_matches('.').to_owned() } else { shown }
}

fn value(measure: &Measure) -> String {
    let Some(value) = measure.value() else { return "not measured".into() };
    let mut told = shown(value);
    if !measure.unit.is_empty() {
        let _ = write!(told, " {}", measure.unit);
    }
    if let Some((least, most)) = measure.range().filter(|_| measure.samples.len() > 1) {
        let _ = write!(told, " ({} to {}, {} times)", shown(least), shown(most), measure.samples.len());
    }
    told
}

fn verdict(measure: &Measure) -> &'static str {
    match measure.is_met() {
        Some(true) => "met",
        Some(false) => "MISSED",
        None => "",
    }
}

/// What is true of a run as a whole.
pub struct Run {
    pub began: String,
    pub load: [String; 2],
    pub minutes: u64,
}

/// Writes everything into a folder.
pub fn write(folder: &Path, measures: &Measures, run: &Run) {
    let charts = folder.join("charts");
    let _ = fs::remove_dir_all(&charts);
    fs::create_dir_all(&charts).unwrap_or_else(|error| panic!("{}: {error}", charts.display()));
    let drawn = draw(&charts, measures);
    save(&folder.join("REPORT.md"), &markdown(measures, run, &drawn));
    save(&folder.join("report.json"), &format!("{:#}\n", for_programs(measures, run)));
}

fn save(path: &Path, content: &str) {
    fs::write(path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Draws what was measured at more than one size; returns the names of the files by figure.
fn draw(folder: &Path, measures: &Measures) -> BTreeMap<(&'static str, String), String> {
    let mut figures: BTreeMap<(&'static str, String), Vec<(f64, &Measure)>> = BTreeMap::new();
    for size in &SIZES {
        for measure in measures.all.iter().filter(|it| it.size == size.name && !it.samples.is_empty()) {
            figures.entry((measure.part, measure.name.clone())).or_default().push((size.objects(), measure));
        }
    }
    // What is neither a ratio that is held nor measured in something is there to be read.
    let says = |(_, it): &(f64, &Measure)| !it.unit.is_empty() || it.target != Target::None;
    figures.retain(|_, figure| figure.len() > 1 && figure.iter().any(says));
    let draw = |(of, figure): ((&'static str, String), Vec<(f64, &Measure)>)| {
        let file = format!("{}-{}.svg", of.0, slug(&of.1));
        save(&folder.join(&file), &chart::draw(&figure));
        (of, file)
    };
    figures.into_iter().map(draw).collect()
}

fn slug(name: &str) -> String {
    let words = name.split(|it: char| !it.is_ascii_alphanumeric()).filter(|it| !it.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join("-")
}

fn for_programs(measures: &Measures, run: &Run) -> serde_json::Value {
    let one = |it: &Measure| {
        let size = if it.size.is_empty() { String::new() } else { format!("{}: ", it.size) };
        let unit = if it.unit.is_empty() { "1" } else { it.unit };
        let target = (it.target != Target::None).then(|| it.target.to_string());
        json!({
            "name": format!("{size}{}", it.name), "value": it.value(), "unit": unit, "target": target,
            "met": it.is_met(), "part": it.part, "size": it.size, "min": it.range().map(|it| it.0),
            "max": it.range().map(|it| it.1), "samples": it.samples.len(),
        })
    };
    json!({
        "measures": measures.all.iter().map(one).collect::<Vec<_>>(),
        "machine": machine::kind(), "began": run.began, "minutes": run.minutes, "load": run.load,
        "versions": versions(measures).collect::<BTreeMap<_, _>>(),
        "remarks": measures.remarks.iter().map(|(part, it)| format!("{part}: {it}")).collect::<Vec<_>>(),
    })
}

fn versions(measures: &Measures) -> impl Iterator<Item = (&'static str, String)> {
    machine::versions().into_iter().chain(measures.versions.iter().cloned())
}

fn markdown(measures: &Measures, run: &Run, drawn: &BTreeMap<(&'static str, String), String>) -> String {
    let mut text = String::from(
        "# What was measured\n\nMade by `make bench-report`; not to be edited by hand, but for `notes.md`.\n\n",
    );
    let held: Vec<_> = measures.all.iter().filter(|it| it.target != Target::None).collect();
    let missed: Vec<_> = held.iter().filter(|it| it.is_met() != Some(true)).collect();
    let _ = writeln!(text, "| | |\n| --- | --- |\n| when | {}, in {} minutes |", run.began, run.minutes);
    let [before, after] = &run.load;
    let _ = writeln!(text, "| machine | {} |\n| load | {before} before, {after} after |", machine::kind());
    for (of, version) in versions(measures) {
        let _ = writeln!(text, "| {of} | {version} |");
    }
    let sizes = SIZES.iter().map(|it| format!("{} {}", it.name, it.objects())).collect::<Vec<_>>().join(", ");
    let _ = writeln!(
        text,
        "\nSizes, in objects: {sizes}. A figure is the median of what was measured; in parentheses the least, the most, and \
         how often it was measured. Whatever is compared was measured in the same run, in turns. \
         The service is built with the `bench` profile: as released, with line tables.\n"
    );
    let _ = writeln!(text, "## Targets: {} of {} met\n", held.len() - missed.len(), held.len());
    let _ = writeln!(text, "| part | size | figure | value | target | |\n| --- | --- | --- | --- | --- | --- |");
    for it in &held {
        let (value, verdict) = (value(it), verdict(it));
        let _ = writeln!(text, "| {} | {} | {} | {value} | {} | {verdict} |", it.part, it.size, it.name, it.target);
    }
    for part in PARTS {
        part_of(&mut text, part.name, part.about, measures, drawn);
    }
    let _ = writeln!(text, "\n{}", PROFILE.trim());
    text
}

fn part_of(
    text: &mut String,
    part: &'static str,
    about: &str,
    measures: &Measures,
    drawn: &BTreeMap<(&'static str, String), String>,
) {
    let mut names: Vec<&str> = vec![];
    for it in measures.all.iter().filter(|it| it.part == part) {
        if !names.contains(&it.name.as_str()) {
            names.push(&it.name);
        }
    }
    if names.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n## {part}\n\n{about}\n");
    if let Some(note) = note_on(part) {
        let _ = writeln!(text, "{note}\n");
    }
    for (_, remark) in measures.remarks.iter().filter(|(of, _)| *of == part) {
        let _ = writeln!(text, "- {remark}");
    }
    let _ = writeln!(text, "\n| figure | size | value | |\n| --- | --- | --- | --- |");
    for name in &names {
        for it in measures.all.iter().filter(|it| it.part == part && it.name == *name) {
            let _ = writeln!(text, "| {name} | {} | {} | {} |", it.size, value(it), verdict(it));
        }
    }
    text.push('\n');
    for name in names {
        if let Some(file) = drawn.get(&(part, name.to_owned())) {
            let _ = writeln!(text, "![{name}](charts/{file})");
        }
    }
}

/// What is written below the heading of a part.
fn note_on(part: &str) -> Option<&'static str> {
    let (_, rest) = NOTES.split_once(&format!("\n## {part}\n"))?;
    Some(rest.split("\n## ").next().unwrap_or(rest).trim()).filter(|it| !it.is_empty())
}
