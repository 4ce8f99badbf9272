//! `export`: the event mesh on standard output, without a server.

mod asyncapi;
mod backstage;
mod dot;
mod graph;
mod mermaid;
mod names;

use anyhow::bail;

pub use self::backstage::backstage;
pub use self::dot::dot;
pub use self::graph::Graph;
pub use self::mermaid::mermaid;
pub use self::names::entity_name;
use super::{print, read_once};
use crate::api::dto::EventMesh;
use crate::config::{ExportArgs, ExportFormat};
use crate::mesh::Grant;
use crate::mesh::diagnostic::Severity;
use crate::origins::manifests::Problem;

/// Prints the mesh of the folders in the format asked for.
///
/// # Errors
/// When the folders cannot be read whole, or the result not printed.
pub fn run(args: &ExportArgs) -> anyhow::Result<()> {
    let selection = args.selection()?;
    let (manifests, index) = read_once(args.manifests()?);
    refuse_what_is_short(manifests.problems())?;
    let grant = Grant::everything();
    let view = index.snapshot().view(&grant, &selection);
    print(&match args.format {
        ExportFormat::Mesh => serde_json::to_string_pretty(&EventMesh::from(view))? + "\n",
        ExportFormat::Dot => dot(&Graph::new(view)),
        ExportFormat::Mermaid => mermaid(&Graph::new(view)),
        ExportFormat::Backstage => backstage(view, &args.owner)?,
    })
}

/// Tells what is wrong with the files, and ends there when the mesh would lack something for it: whoever takes the
/// result for the whole would delete what is missing.
fn refuse_what_is_short(problems: &[Problem]) -> anyhow::Result<()> {
    for Problem { place, what } in problems {
        eprintln!("{place}: {}[{}]: {what}", what.severity().name(), what.code());
    }
    match problems.iter().filter(|it| it.what.severity() == Severity::Error).count() {
        0 => Ok(()),
        errors => bail!(
            "The mesh would not be whole, so nothing is exported: {errors} {} in the manifests.\n\
             Mend what is named above, or run `eventmesh-catalog check` with the same manifests to see everything.",
            if errors == 1 { "error" } else { "errors" }
        ),
    }
}
