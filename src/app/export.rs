//! `export`: the event mesh on standard output, without a server.

use super::print;
use crate::api::dto::EventMesh;
use crate::config::{ExportArgs, ExportFormat};
use crate::index::Index;
use crate::mesh::Grant;
use crate::origins::manifests::Manifests;

/// Prints the mesh of the folders in the format asked for.
///
/// # Errors
/// When the folders cannot be read whole, or the result not printed.
pub fn run(args: &ExportArgs) -> anyhow::Result<()> {
    let selection = args.selection()?;
    let mut manifests = Manifests::new(args.manifests()?);
    let mut index = Index::default();
    index.apply(manifests.refresh(), true);
    let grant = Grant::everything();
    let view = index.snapshot().view(&grant, &selection);
    print(&match args.format {
        ExportFormat::Mesh => serde_json::to_string_pretty(&EventMesh::from(view))? + "\n",
        _ => String::new(),
    })
}
