//! `check`: what is wrong with the mesh in a folder of manifests, for people and for a repository's CI.

use std::process::ExitCode;

use serde::Serialize;

use super::print;
use crate::config::{CheckArgs, CheckFormat, FailOn};
use crate::index::Index;
use crate::mesh::ObjectRef;
use crate::mesh::diagnostic::{Severity, diagnose};
use crate::origins::manifests::{Manifests, Place, Problem};

/// Something found, in the words of the JSON output.
#[derive(Debug, Serialize)]
struct Found {
    severity: &'static str,
    /// A stable name for the kind of thing that is wrong.
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<Object>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    message: String,
}

#[derive(Debug, Serialize)]
struct Object {
    group: String,
    kind: String,
    namespace: String,
    name: String,
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
    let mut manifests = Manifests::new(args.manifests()?);
    let mut index = Index::default();
    index.apply(manifests.refresh(), true);
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
        let of_objects = diagnose(index.snapshot()).into_iter().map(|it| {
            let place = manifests.place(&it.subject);
            let severity = it.finding.severity();
            Found::about(&it.subject, place, severity, it.finding.code(), it.finding.to_string())
        });
        let mut diagnostics: Vec<_> = of_files.chain(of_objects).collect();
        // Stable, so that what is wrong with one object stays in its order.
        diagnostics.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        let count = |severity| diagnostics.iter().filter(|it| it.severity == severity).count();
        Self { errors: count(ERROR), warnings: count(WARNING), files: manifests.file_count(), diagnostics }
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

const ERROR: &str = "error";
const WARNING: &str = "warning";

impl Found {
    fn in_file(problem: &Problem) -> Self {
        Self {
            severity: if problem.what.is_error() { ERROR } else { WARNING },
            code: problem.what.code(),
            object: None,
            file: Some(problem.place.file.display().to_string()),
            line: Some(problem.place.line),
            message: problem.what.to_string(),
        }
    }

    fn about(
        object: &ObjectRef,
        place: Option<&Place>,
        severity: Severity,
        code: &'static str,
        message: String,
    ) -> Self {
        Self {
            severity: if severity == Severity::Error { ERROR } else { WARNING },
            code,
            object: Some(Object {
                group: object.of.group.to_string(),
                kind: object.of.kind.to_string(),
                namespace: object.namespace.to_string(),
                name: object.name.to_string(),
            }),
            file: place.map(|it| it.file.display().to_string()),
            line: place.map(|it| it.line),
            message,
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
