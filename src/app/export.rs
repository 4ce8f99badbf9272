//! `export`: the event mesh on standard output, without a server.
//!
//! What is printed is whole, or lacks what somebody has allowed to be missing and is told of.

mod asyncapi;
mod backstage;
mod dot;
mod graph;
mod mermaid;
mod names;

use anyhow::{Context as _, bail};

pub use self::backstage::backstage;
pub use self::dot::dot;
pub use self::graph::Graph;
pub use self::mermaid::mermaid;
pub use self::names::entity_name;
use super::{ANY_ORIGIN, connected, print, read_once};
use crate::api::dto::EventMesh;
use crate::config::{ExportArgs, ExportFormat, Origin};
use crate::index::Index;
use crate::kubernetes::server::Connection;
use crate::mesh::Grant;
use crate::mesh::diagnostic::Severity;
use crate::origins::kubernetes::convert::Converter;
use crate::origins::kubernetes::once::{Limits, Missing, read};
use crate::origins::manifests::{self, Problem};

/// Prints the mesh in the format asked for.
///
/// # Errors
/// When the folders or the cluster cannot be read whole, or the result not printed.
pub async fn run(args: &ExportArgs) -> anyhow::Result<()> {
    let selection = args.selection()?;
    let index = match args.origin()? {
        Origin::Manifests(options) => of_manifests(options)?,
        Origin::Cluster { connection, converter } => {
            of_cluster(&connection, &converter, &args.limits()?, args.allow_missing).await?
        }
    };
    let grant = Grant::everything();
    let view = index.snapshot().view(&grant, &selection);
    print(&match args.format {
        ExportFormat::Mesh => serde_json::to_string_pretty(&EventMesh::from(view))? + "\n",
        ExportFormat::Dot => dot(&Graph::new(view)),
        ExportFormat::Mermaid => mermaid(&Graph::new(view)),
        ExportFormat::Backstage => backstage(view, &args.owner)?,
    })
}

fn of_manifests(options: manifests::Options) -> anyhow::Result<Index> {
    let (manifests, index) = read_once(options);
    refuse_what_is_short(manifests.problems())?;
    Ok(index)
}

async fn of_cluster(
    connection: &Connection,
    converter: &Converter,
    limits: &Limits,
    allow_missing: bool,
) -> anyhow::Result<Index> {
    let server = connected(connection, ANY_ORIGIN).await?;
    let reading = read(&server, converter, limits).await;
    let reading = reading.with_context(|| format!("The cluster at {} cannot be read", server.url()))?;
    let missing: Vec<_> = reading.missing.iter().collect();
    if !allow_missing && !missing.is_empty() {
        bail!(refusal(&missing, limits));
    }
    for it in missing {
        eprintln!("warning: The mesh lacks {it}");
    }
    let mut index = Index::default();
    index.apply(reading.updates, true);
    Ok(index)
}

/// What may not be read, and what whoever has few rights can do.
fn refusal(missing: &[&Missing], limits: &Limits) -> String {
    let lines = missing.iter().map(|it| format!("\n  {it}")).collect::<Vec<_>>().concat();
    let within = if limits.namespaces.is_empty() {
        " --within NAMESPACE reads only a namespace where you have the rights, as if there were no others."
    } else {
        ""
    };
    format!(
        "The mesh would not be whole, so nothing is exported. This may not be read:{lines}\n\
         Ask for the rights; `doctor` prints what grants them.{within} --allow-missing exports the mesh without what is \
         named above."
    )
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
