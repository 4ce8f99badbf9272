//! Can a cluster be read, and can it be asked about callers? Looks once at what there is to read, and asks which of the
//! rights that it takes an account has.
//!
//! What has to be read is decided as for reading it (`plan`), from the same definitions and the same subscribers.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
    SubjectAccessReview, SubjectAccessReviewSpec,
};

use super::convert::Converter;
use super::discover::discover;
use super::kinds::{core_kinds, definition_kind, definitions_endpoint, is_core};
use super::named::Named;
use super::object::{Object, read};
use super::plan::{Defined, Definitions, Discovered, Wanted, plan};
use super::reflect::PAGE_OF_DEFINITIONS;
use super::rights::{Need, Right, VERSION, Verb, by_name, to_keep_up};
use crate::kubernetes::endpoint::Endpoint;
use crate::kubernetes::failure::Failure;
use crate::kubernetes::list::{PAGE, Scope, list};
use crate::kubernetes::server::Server;
use crate::mesh::{GroupKind, Key};

/// Whose rights are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    /// The one that the questions come from.
    Own,
    ServiceAccount {
        namespace: String,
        name: String,
    },
}

/// What was found out.
#[derive(Debug)]
pub struct Examination {
    /// Of the API server.
    pub version: String,
    /// The name of the user whose rights were asked for.
    pub user: String,
    /// What there is to read: definitions, the core kinds, the others that make a mesh, those that are only named.
    pub kinds: Vec<Examined>,
    /// What there is to find out about callers, and the rights for it that should be there.
    pub needs: Vec<(Need, Vec<Right>)>,
}

/// A kind that there is to read.
#[derive(Debug, PartialEq, Eq)]
pub struct Examined {
    pub of: GroupKind,
    pub part: Part,
    pub found: Found,
}

/// What a kind is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Definitions,
    Core,
    /// Its definition says that it is a channel or a source.
    Defined,
    /// It is named as a subscriber.
    Named,
}

/// How it stands with a kind.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// The API server does not serve it.
    Absent,
    /// It is defined, and not (yet) served in any version.
    Unestablished,
    /// Where it is served may not be looked up.
    Hidden,
    Served {
        /// The version that is read.
        version: String,
        missing: Vec<Right>,
        /// It may not be listed, and does not have to be: all objects that are named may be read.
        by_name: bool,
        /// It could not be looked at, so that there may be more to read than what is told.
        unread: bool,
    },
}

impl Examined {
    /// Whether the catalog is whole as far as this kind goes.
    pub fn is_fine(&self) -> bool {
        match &self.found {
            Found::Absent | Found::Unestablished => self.part > Part::Core,
            Found::Hidden => false,
            Found::Served { missing, unread, .. } => !unread && missing.is_empty(),
        }
    }

    /// The rights that should be there.
    pub fn missing(&self) -> impl Iterator<Item = &Right> {
        let missing = if let Found::Served { missing, .. } = &self.found { missing.as_slice() } else { &[] };
        missing.iter()
    }
}

/// Looks at a cluster. What there is to read is looked for with the rights of whoever asks.
///
/// # Errors
/// When the API server cannot be asked, or does not say what it is asked.
pub async fn examine(server: &Server, account: &Account) -> Result<Examination, Failure> {
    let version = server.version().await?.git_version;
    let asker = Asker::new(server, account).await?;
    let mut looker = Looker::new(server);
    looker.look_for_definitions().await?;
    looker.look_for_subscribers().await?;
    let wanted = looker.plan().await?;
    let found = looker.noting_what_is_unread(&definition_kind(), asker.served(&definitions_endpoint(), None).await?);
    let mut kinds = vec![Examined { of: definition_kind(), part: Part::Definitions, found }];
    for (of, wanted) in &wanted {
        let part = match wanted.defined {
            _ if is_core(of) => Part::Core,
            true => Part::Defined,
            false => Part::Named,
        };
        let found = match &wanted.scope {
            Some(scope) => {
                let names = (part == Part::Named).then(|| looker.named.of_kind(of));
                looker.noting_what_is_unread(of, asker.served(&scope.endpoint, names).await?)
            }
            None if looker.hidden.contains(of) => Found::Hidden,
            None => Found::Absent,
        };
        kinds.push(Examined { of: of.clone(), part, found });
    }
    // What serves nothing is in no plan.
    for (of, found) in looker.unserved(&wanted) {
        let part = if is_core(&of) { Part::Core } else { Part::Defined };
        kinds.push(Examined { of, part, found });
    }
    kinds.sort_by(|a, b| (a.part, &a.of).cmp(&(b.part, &b.of)));
    let needs = asker.needs().await?;
    Ok(Examination { version, user: asker.user, kinds, needs })
}

/// Looks for what there is to read.
struct Looker<'a> {
    server: &'a Server,
    converter: Converter,
    definitions: Definitions,
    discovered: Discovered,
    /// Where these are served may not be looked up.
    hidden: BTreeSet<GroupKind>,
    named: Named,
    /// What these say is not known: they may not be listed.
    unread: BTreeSet<GroupKind>,
}

impl<'a> Looker<'a> {
    fn new(server: &'a Server) -> Self {
        Self {
            server,
            // The rights that it takes do not depend on the label.
            converter: Converter::new(""),
            definitions: Definitions::Awaited,
            discovered: Discovered::new(),
            hidden: BTreeSet::new(),
            named: Named::default(),
            unread: BTreeSet::new(),
        }
    }

    async fn look_for_definitions(&mut self) -> Result<(), Failure> {
        self.definitions = match self.list(&Scope::all(definitions_endpoint()), PAGE_OF_DEFINITIONS).await {
            Ok(objects) => Definitions::Read(objects.into_iter().map(Defined::from_object).collect()),
            Err(Failure::Refused(_) | Failure::Absent) => {
                self.unread.insert(definition_kind());
                Definitions::Refused
            }
            Err(failure) => return Err(failure),
        };
        Ok(())
    }

    /// Reads whatever names subscribers.
    async fn look_for_subscribers(&mut self) -> Result<(), Failure> {
        let wanted = self.plan().await?;
        for of in core_kinds() {
            let Some(scope) = wanted.get(&of).and_then(|it| it.scope.as_ref()) else { continue };
            match self.list(scope, PAGE).await {
                Ok(objects) => {
                    for Object { resource, .. } in objects {
                        self.named.put(&resource);
                    }
                }
                Err(Failure::Refused(_) | Failure::Absent) => _ = self.unread.insert(of),
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    async fn list(&self, scope: &Scope, page_size: usize) -> Result<Vec<Object>, Failure> {
        let listed = list(self.server, scope, page_size, |it| read(&self.converter, scope, it), |_| ()).await?;
        Ok(listed.objects)
    }

    /// What there is to read, once it is known where all of it is served.
    async fn plan(&mut self) -> Result<BTreeMap<GroupKind, Wanted>, Failure> {
        loop {
            let wanted =
                plan(&self.definitions, self.named.kinds(), &self.discovered, self.converter.backstage_label());
            let mut unknown = wanted.iter().filter(|(of, it)| it.scope.is_none() && !self.discovered.contains_key(*of));
            let Some((of, _)) = unknown.next() else { return Ok(wanted) };
            let endpoint = match discover(self.server, of).await {
                Err(Failure::Refused(_)) => {
                    self.hidden.insert(of.clone());
                    None
                }
                answer => answer?,
            };
            self.discovered.insert(of.clone(), endpoint);
        }
    }

    /// Kinds of the mesh that are not served, and those of its core that are not even defined.
    fn unserved(&self, wanted: &BTreeMap<GroupKind, Wanted>) -> BTreeMap<GroupKind, Found> {
        let mut unserved: BTreeMap<_, _> = core_kinds().map(|of| (of, Found::Absent)).collect();
        if let Definitions::Read(definitions) = &self.definitions {
            for definition in definitions.values().filter_map(|it| it.resource.definition()) {
                if is_core(&definition.of) || definition.subscribable || definition.source {
                    unserved.insert(definition.of.clone(), Found::Unestablished);
                }
            }
        }
        unserved.retain(|of, _| !wanted.contains_key(of));
        unserved
    }

    /// Where an account has the rights that the one who asks has not, something may have been overlooked.
    fn noting_what_is_unread(&self, of: &GroupKind, found: Found) -> Found {
        match found {
            Found::Served { version, missing, by_name, .. } => {
                let unread = missing.is_empty() && self.unread.contains(of);
                Found::Served { version, missing, by_name, unread }
            }
            found => found,
        }
    }
}

/// Asks which rights an account has.
struct Asker<'a> {
    server: &'a Server,
    user: String,
    /// `None` where it is the one who asks.
    groups: Option<Vec<String>>,
}

impl<'a> Asker<'a> {
    async fn new(server: &'a Server, account: &Account) -> Result<Self, Failure> {
        let (user, groups) = match account {
            Account::Own => {
                let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
                let review = server.create(path, &SelfSubjectReview::default()).await?;
                let user = review.status.and_then(|it| it.user_info).and_then(|it| it.username);
                (user.ok_or_else(|| Failure::Garbled("it does not say who asks".into()))?, None)
            }
            Account::ServiceAccount { namespace, name } => {
                let of_namespace = format!("system:serviceaccounts:{namespace}");
                let groups = ["system:serviceaccounts".into(), of_namespace, "system:authenticated".into()];
                (format!("system:serviceaccount:{namespace}:{name}"), Some(groups.into()))
            }
        };
        Ok(Self { server, user, groups })
    }

    /// A kind that is served. Of one that is only named, these objects matter.
    async fn served(&self, endpoint: &Endpoint, names: Option<BTreeSet<Key>>) -> Result<Found, Failure> {
        let mut missing = vec![];
        for right in to_keep_up(endpoint) {
            if !self.may(&right, &endpoint.version, None).await? {
                missing.push(right);
            }
        }
        let is_listed = !missing.iter().any(|it| it.verb() == Verb::List);
        let by_name = match names {
            Some(names) if !is_listed => self.may_read(&names, endpoint).await?,
            _ => false,
        };
        if by_name {
            missing.clear();
        }
        Ok(Found::Served { version: endpoint.version.clone(), missing, by_name, unread: false })
    }

    /// Whether all of these objects may be read one by one.
    async fn may_read(&self, names: &BTreeSet<Key>, endpoint: &Endpoint) -> Result<bool, Failure> {
        let right = by_name(endpoint);
        if self.may(&right, &endpoint.version, None).await? {
            return Ok(true);
        }
        for name in names {
            let object =
                One { namespace: endpoint.namespaced.then(|| name.namespace.to_string()), name: name.name.to_string() };
            if !self.may(&right, &endpoint.version, Some(object)).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn needs(&self) -> Result<Vec<(Need, Vec<Right>)>, Failure> {
        let mut needs = vec![];
        for need in Need::ALL {
            let mut missing = vec![];
            for right in need.rights() {
                if !self.may(&right, VERSION, None).await? {
                    missing.push(right);
                }
            }
            needs.push((need, missing));
        }
        Ok(needs)
    }

    /// Whether the account has a right: as a whole, or as far as one object goes.
    async fn may(&self, right: &Right, version: &str, object: Option<One>) -> Result<bool, Failure> {
        let (resource_attributes, non_resource_attributes) = attributes(right, version, object);
        let status = if let Some(groups) = &self.groups {
            let spec = SubjectAccessReviewSpec {
                user: Some(self.user.clone()),
                groups: Some(groups.clone()),
                resource_attributes,
                non_resource_attributes,
                ..SubjectAccessReviewSpec::default()
            };
            let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
            self.server.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", &review).await?.status
        } else {
            let spec = SelfSubjectAccessReviewSpec { resource_attributes, non_resource_attributes };
            let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
            self.server.create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &review).await?.status
        };
        Ok(status.is_some_and(|it| it.allowed))
    }
}

/// One object.
struct One {
    /// Of a kind that has them.
    namespace: Option<String>,
    name: String,
}

/// A right in the words of reviews.
fn attributes(
    right: &Right,
    version: &str,
    object: Option<One>,
) -> (Option<ResourceAttributes>, Option<NonResourceAttributes>) {
    let verb = Some(right.verb().name().to_owned());
    match right {
        Right::Objects { group, resource, .. } => {
            // Without: all of them, in all namespaces.
            let (namespace, name) = object.map_or((None, None), |it| (it.namespace, Some(it.name)));
            let attributes = ResourceAttributes {
                group: Some(group.to_string()),
                version: Some(version.to_owned()),
                resource: Some(resource.clone()),
                verb,
                namespace,
                name,
                ..ResourceAttributes::default()
            };
            (Some(attributes), None)
        }
        Right::Path(path) => (None, Some(NonResourceAttributes { path: Some((*path).to_owned()), verb })),
    }
}
