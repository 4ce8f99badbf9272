//! `check`: what is wrong with the mesh in a folder of manifests, for people and for a repository's CI.

use std::process::ExitCode;

use serde::Serialize;

use super::{print, read_once};
use crate::api::dto::Reference;
use crate::config::{CheckArgs, CheckFormat, FailOn};
use crate::index::Index;
use crate::mesh::Diagnostic;
use crate::mesh::diagnostic::{Severity, diagnose};
use crate::origins::manifests::{Manifests, Place, Problem};

/// Something found, in the words of the JSON output.
#[derive(Debug, Serialize)]
struct Found {
    severity: &'static str,
    /// A stable name for the kind of thing that is wrong.
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<Reference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    message: String,
}

#[derive(Debug, Serialize)]
struct Report {
    errors: usize,
    warnings: usize,
    files: usize,
    diagnostics: Vec<Found>,
}

/// Looks at the folders once and prints what is wrong.
///
/// # Errors
/// When it cannot look, or not print.
pub fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let (manifests, index) = read_once(args.manifests()?);
    let report = Report::new(&manifests, &index);
    print(&match args.format {
        CheckFormat::Text => report.text(),
        CheckFormat::Json => serde_json::to_string_pretty(&report)? + "\n",
    })?;
    let fails = match args.fail_on {
        FailOn::Error => report.errors > 0,
        FailOn::Warning => report.errors + report.warnings > 0,
        FailOn::Never => false,
    };
    Ok(if fails { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl Report {
    fn new(manifests: &Manifests, index: &Index) -> Self {
        let of_files = manifests.problems().iter().map(Found::in_file);
        let found = diagnose(index.snapshot());
        let of_objects = found.iter().map(|it| Found::about(it, manifests.place(&it.subject)));
        let mut diagnostics: Vec<_> = of_files.chain(of_objects).collect();
        // Stable, so that what is wrong with one object stays in its order.
        diagnostics.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        let count = |of: Severity| diagnostics.iter().filter(|it| it.severity == of.name()).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        Self { errors, warnings, files: manifests.file_count(), diagnostics }
    }

    fn text(&self) -> String {
        let lines: String = self.diagnostics.iter().map(Found::line).collect();
        let (errors, warnings) = (counted(self.errors, "error"), counted(self.warnings, "warning"));
        format!("{lines}{errors}, {warnings} in {}\n", counted(self.files, "file"))
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

impl Found {
    fn in_file(problem: &Problem) -> Self {
        Self {
            severity: problem.what.severity().name(),
            code: problem.what.code(),
            object: None,
            file: Some(problem.place.file.display().to_string()),
            line: Some(problem.place.line),
            message: problem.what.to_string(),
        }
    }

    fn about(diagnostic: &Diagnostic, place: Option<&Place>) -> Self {
        let Diagnostic { subject, finding } = diagnostic;
        Self {
            severity: finding.severity().name(),
            code: finding.code(),
            object: Some((&**subject).into()),
            file: place.map(|it| it.file.display().to_string()),
            line: place.map(|it| it.line),
            message: finding.to_string(),
        }
    }

    /// As compilers print it, so that editors find the place.
    fn line(&self) -> String {
        let place = match (&self.file, self.line) {
            (Some(file), Some(line)) => format!("{file}:{line}: "),
            _ => String::new(),
        };
        let object = self.object.as_ref().map(|it| format!("{} {}/{}: ", it.kind, it.namespace, it.name));
        format!("{place}{}[{}]: {}{}\n", self.severity, self.code, object.unwrap_or_default(), self.message)
    }
}
