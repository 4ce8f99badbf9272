//! `doctor`: whether a cluster can be read and asked about callers, what is missing for that, and what grants it.

mod grant;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use serde::Serialize;

use self::grant::{Object, grant};
use super::{connected, print};
use crate::config::{DoctorArgs, DoctorFormat};
use crate::origins::kubernetes::examine::{Examination, Examined, Found, Part, examine};
use crate::origins::kubernetes::rights::{Need, Right};

/// What was found, in the words of the JSON output.
#[derive(Debug, Serialize)]
struct Report {
    /// Where the API server is.
    server: String,
    /// Its version.
    version: String,
    /// Whose rights were asked for.
    user: String,
    kinds: Vec<About>,
    callers: Vec<AboutCallers>,
    missing: Vec<MissingRight>,
    /// Grants what is missing.
    grant: Vec<Object>,
}

#[derive(Debug, Serialize)]
struct About {
    group: String,
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    ok: bool,
    message: String,
}

/// Something that has to be found out about callers.
#[derive(Debug, Serialize)]
struct AboutCallers {
    what: &'static str,
    ok: bool,
    message: String,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum MissingRight {
    Objects { group: String, resource: String, verb: &'static str },
    Path { path: &'static str, verb: &'static str },
}

/// Looks at the cluster once and prints what is missing.
///
/// # Errors
/// When no cluster is configured, or it cannot be asked.
pub async fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let remedy = "Give --kubeconfig FILE or --context NAME, or run in a cluster.";
    let server = connected(&args.connection(), remedy).await?;
    let examined = examine(&server, &args.account()).await;
    let examined = examined.with_context(|| format!("The cluster at {} cannot be examined", server.url()))?;
    let report = Report::new(&server.url(), &examined);
    print(&match args.format {
        DoctorFormat::Text => report.text()?,
        DoctorFormat::Json => serde_json::to_string_pretty(&report)? + "\n",
    })?;
    Ok(if report.is_fine() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Report {
    fn new(server: &str, examined: &Examination) -> Self {
        let of_kinds = examined.kinds.iter().flat_map(Examined::missing);
        let of_callers = examined.needs.iter().flat_map(|(_, missing)| missing);
        let missing: BTreeSet<_> = of_kinds.chain(of_callers).cloned().collect();
        Self {
            server: server.trim_end_matches('/').into(),
            version: examined.version.clone(),
            user: examined.user.clone(),
            kinds: examined.kinds.iter().map(About::new).collect(),
            callers: examined.needs.iter().map(|(need, missing)| AboutCallers::new(*need, missing)).collect(),
            grant: grant(&examined.user, &missing),
            missing: missing.iter().map(MissingRight::new).collect(),
        }
    }

    fn is_fine(&self) -> bool {
        self.kinds.iter().all(|it| it.ok) && self.callers.iter().all(|it| it.ok)
    }

    /// Everything but the YAML is a comment of it.
    fn text(&self) -> anyhow::Result<String> {
        let Self { server, version, user, .. } = self;
        let mut said = format!("{server} runs Kubernetes {version}.\nWhat {user} can read:\n\n");
        let mark = |ok| if ok { '+' } else { '-' };
        for kind in &self.kinds {
            let _ = writeln!(said, "[{}] {}: {}", mark(kind.ok), name(kind), kind.message);
        }
        said += "\nWhat it can find out about callers:\n\n";
        for AboutCallers { what, ok, message } in &self.callers {
            let _ = writeln!(said, "[{}] {what}: {message}", mark(*ok));
        }
        let ending = match (&*self.missing, self.is_fine()) {
            ([], true) => "Nothing is missing.",
            ([], false) => "No right is missing.",
            ([_], _) => "1 right is missing. This grants it; look at it, then pipe it to `kubectl apply -f -`.",
            (missing, _) => &format!(
                "{} rights are missing. This grants them; look at it, then pipe it to `kubectl apply -f -`.",
                missing.len()
            ),
        };
        let _ = writeln!(said, "\n{ending}");
        let comments: String = said.lines().map(|line| format!("# {line}").trim_end().to_owned() + "\n").collect();
        let grant = if self.grant.is_empty() { String::new() } else { serde_saphyr::to_string_multiple(&self.grant)? };
        Ok(comments + &grant)
    }
}

fn name(kind: &About) -> String {
    match &*kind.group {
        "" => kind.kind.clone(),
        group => format!("{}.{group}", kind.kind),
    }
}

impl About {
    fn new(examined: &Examined) -> Self {
        let Examined { of, found, .. } = examined;
        let version = if let Found::Served { version, .. } = found { Some(version.clone()) } else { None };
        Self {
            group: of.group.to_string(),
            kind: of.kind.to_string(),
            version,
            ok: examined.is_fine(),
            message: message(examined),
        }
    }
}

fn message(examined: &Examined) -> String {
    match (&examined.found, examined.part) {
        (Found::Absent, Part::Definitions | Part::Core) => "it is not installed, and Knative Eventing brings it".into(),
        (Found::Absent, Part::Defined) => "it is not installed, so that it has no objects".into(),
        (Found::Absent, Part::Named) => {
            "it is named as a subscriber, and not served, so that nobody consumes there".into()
        }
        (Found::Unestablished, _) => {
            "it is defined, and no version of it is served; see its definition's status".into()
        }
        (Found::Hidden, _) => {
            "where it is served may not be looked up; the ClusterRole system:discovery allows that".into()
        }
        (Found::Served { version, missing, by_name, unread }, part) => {
            let subscribers = if part == Part::Named { " for subscribers" } else { "" };
            let rights: Vec<_> = missing.iter().map(ToString::to_string).collect();
            match (&*rights, by_name, unread) {
                ([], true, _) => format!("{version} is read{subscribers}, object by object: they may not be listed"),
                ([], _, true) => {
                    format!("{version} is read, but not by this account, so that there may be more to read")
                }
                ([], _, _) => format!("{version} is read{subscribers}"),
                (rights, ..) => format!("{version} would be read{subscribers}; may not {}", rights.join(", ")),
            }
        }
    }
}

impl AboutCallers {
    fn new(need: Need, missing: &[Right]) -> Self {
        let (what, fine, lost) = match need {
            Need::Identities => {
                ("who they are", "the API server is asked", "nobody is answered who has a token of the cluster")
            }
            Need::Grants => ("what they may see", "the API server is asked", "nobody is answered"),
            Need::Changes => (
                "changes of their rights",
                "heard of, so that they count within a second",
                "what is taken away may be seen for another 10 s",
            ),
            Need::Keys => (
                "keys of the cluster's tokens",
                "read, so that tokens are checked before the API server is asked",
                "tokens cannot be checked here, and the API server is asked about every one",
            ),
        };
        let rights: Vec<_> = missing.iter().map(ToString::to_string).collect();
        let message = if rights.is_empty() { fine.into() } else { format!("may not {}; {lost}", rights.join(", ")) };
        Self { what, ok: missing.is_empty(), message }
    }
}

impl MissingRight {
    fn new(right: &Right) -> Self {
        let verb = right.verb().name();
        match right {
            Right::Objects { group, resource, .. } => {
                Self::Objects { group: group.to_string(), resource: resource.clone(), verb }
            }
            Right::Path(path) => Self::Path { path, verb },
        }
    }
}
