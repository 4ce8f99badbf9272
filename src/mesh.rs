//! The ground floor: what a mesh is, without a cluster, a clock, a log or a wire.
//!
//! An origin reports [`Update`]s to an [`Inventory`]; a [`MeshGraph`] links what changed; a [`Snapshot`] holds the
//! result and never changes; a [`View`] is what one [`Grant`] allows to see of it.
//!
//! Always true:
//! - equal inventories give equal snapshots, whatever the order of arrival;
//! - there is no [`View`] without a [`Grant`];
//! - a broken cluster is data ([`Diagnostic`]), not an error.

pub mod declaration;
pub mod diagnostic;
pub mod filter;
pub mod grant;
pub mod graph;
pub mod intern;
pub mod inventory;
pub mod kinds;
pub mod object;
pub mod place;
mod reach;
pub mod resource;
pub mod selector;
pub mod snapshot;
pub mod template;
mod uid;
pub mod view;

pub use self::diagnostic::Diagnostic;
pub use self::grant::Grant;
pub use self::graph::MeshGraph;
pub use self::inventory::{Inventory, Update};
pub use self::object::{GroupKind, Key, ObjectRef};
pub use self::resource::Resource;
pub use self::selector::Selection;
pub use self::snapshot::Snapshot;
pub use self::uid::Uid;
pub use self::view::View;
