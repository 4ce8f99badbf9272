//! The files of `config/monitoring`: each alert is whole and tested, each panel can be asked for.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::promtool::promtool;
use crate::support::{json, read};

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/monitoring")
}

fn yaml(name: &str) -> Value {
    serde_saphyr::from_str(&read(folder().join(name))).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn items<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn alerts() -> Vec<Value> {
    items(&yaml("rules.yaml"), "groups").iter().flat_map(|it| items(it, "rules").to_vec()).collect()
}

/// What is asked for, each with where.
pub fn expressions() -> Vec<(String, String)> {
    let of_alerts = alerts().into_iter().map(|it| (text(&it["alert"]).to_owned(), text(&it["expr"]).to_owned()));
    of_alerts.chain(queries()).collect()
}

fn queries() -> Vec<(String, String)> {
    let dashboard = json(folder().join("dashboard.json"));
    let panels = items(&dashboard, "panels").iter();
    let of_panel = |panel: &Value| {
        let title = text(&panel["title"]).to_owned();
        items(panel, "targets").iter().map(move |it| (title.clone(), text(&it["expr"]).to_owned())).collect::<Vec<_>>()
    };
    panels.flat_map(of_panel).collect()
}

#[test]
fn alerts_fire_when_they_should_and_only_then() {
    promtool("the alert rules", &["check", "rules", "rules.yaml"], &folder(), "")
        .unwrap_or_else(|said| panic!("{said}"));
    let tested = promtool("when alerts fire", &["test", "rules", "rules.test.yaml"], &folder(), "");
    tested.unwrap_or_else(|said| panic!("{said}"));
    // Each fires in one of the tests, and in none of those where all is well.
    let tests = yaml("rules.test.yaml");
    let checks = items(&tests, "tests").iter().flat_map(|it| items(it, "promql_expr_test"));
    let fired: BTreeSet<_> = checks.flat_map(|it| items(it, "exp_samples")).map(|it| text(&it["labels"])).collect();
    for alert in alerts() {
        let name = text(&alert["alert"]);
        assert!(fired.contains(&*format!("{{alertname=\"{name}\"}}")), "{name} fires in no test");
    }
}

#[test]
fn alerts_say_how_bad_it_is_and_where_it_is_told_what_to_do() {
    let alerts = alerts();
    assert!(!alerts.is_empty());
    for alert in &alerts {
        let name = text(&alert["alert"]);
        let severity = text(&alert["labels"]["severity"]);
        assert!(["info", "warning", "critical"].contains(&severity), "{name}: {severity}");
        let annotations = &alert["annotations"];
        for annotation in ["summary", "description"] {
            assert!(!text(&annotations[annotation]).is_empty(), "{name} has no {annotation}");
        }
        let page = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/operations.md");
        let expected = format!("{page}#alert-{}", name.to_lowercase());
        assert_eq!(text(&annotations["runbook_url"]), expected);
    }
}

#[test]
fn the_operator_is_given_the_same_rules() {
    let file = folder().join("prometheus-rule.yaml");
    let rules = read(folder().join("rules.yaml"));
    let groups = rules.split_inclusive('\n').filter(|it| !it.starts_with('#'));
    let head = read(&file).split_inclusive("spec:\n").next().unwrap().to_owned();
    let expected: String = std::iter::once(head).chain(groups.map(|it| format!("  {it}"))).collect();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&file, &expected).unwrap();
    }
    assert_eq!(read(&file), expected, "run `UPDATE_EXPECT=1 cargo test --test monitoring`");
}

#[test]
fn panels_ask_one_source_that_can_be_chosen() {
    let dashboard = json(folder().join("dashboard.json"));
    let variables: Vec<_> = items(&dashboard["templating"], "list").iter().map(|it| text(&it["name"])).collect();
    assert_eq!(variables, ["datasource", "job", "instance"]);
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in items(&dashboard, "panels") {
        let title = text(&panel["title"]);
        assert!(!title.is_empty() && ids.insert(panel["id"].as_u64().unwrap()), "{title}");
        let at = |field: &str| panel["gridPos"][field].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{title}");
        for (x, y) in (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y))) {
            assert!(taken.insert((x, y)), "{title} covers another panel");
        }
        assert!(panel["type"] == "row" || !items(panel, "targets").is_empty(), "{title}");
        for source in std::iter::once(panel).chain(items(panel, "targets")).filter(|it| it["type"] != "row") {
            assert_eq!(source["datasource"]["uid"], "${datasource}", "{title}");
        }
    }
}

/// A rule that records has an expression like that of a panel.
#[test]
fn panels_ask_in_promql() {
    let mut rules = "groups:\n- name: panels\n  rules:\n".to_owned();
    for (n, (_, expression)) in queries().iter().enumerate() {
        let expression = Value::from(expression.replace("$__rate_interval", "5m"));
        writeln!(rules, "  - {{ record: 'panel:{n}', expr: {expression} }}").unwrap();
    }
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::write(folder.path().join("rules.yaml"), &rules).unwrap();
    let checked = promtool("what panels ask", &["check", "rules", "rules.yaml"], folder.path(), "");
    checked.unwrap_or_else(|said| panic!("{said}\n{rules}"));
}
