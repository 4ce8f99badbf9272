//! What is written down is what the code does: the committed API document is the one that it makes, and the documentation
//! holds together.

#[path = "docs/links.rs"]
mod links;

use std::path::Path;

use eventmesh_catalog::api::openapi::document;

#[test]
fn the_committed_document_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi/v1.json");
    let committed = std::fs::read_to_string(&path).unwrap();
    let current = document().to_pretty_json().unwrap() + "\n";
    assert!(committed == current, "openapi/v1.json is not current; run `make openapi`");
}

/// A response without a description is invalid in OpenAPI 3.1, and one without an example is of little use.
#[test]
fn every_route_tells_all_of_its_answers() {
    let document = serde_json::to_value(document()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.keys().collect::<Vec<_>>(), ["/docs/", "/openapi.json", "/v1/getEventMesh"]);
    for (path, operations) in paths {
        for (status, response) in operations["get"]["responses"].as_object().unwrap() {
            assert!(response["description"].as_str().is_some_and(|it| !it.is_empty()), "{path} {status}");
            assert!(response["headers"]["X-Request-Id"].is_object(), "{path} {status} has a request id");
            let contents = response["content"].as_object().into_iter().flatten();
            for (_, content) in contents.filter(|(kind, _)| *kind == "application/problem+json") {
                assert_eq!(content["example"]["status"].to_string(), *status, "{path} {status} has an example");
            }
        }
    }
    let mesh = &document["paths"]["/v1/getEventMesh"]["get"]["responses"];
    let statuses: Vec<_> = mesh.as_object().unwrap().keys().cloned().collect();
    assert_eq!(statuses, ["200", "304", "400", "401", "405", "406", "413", "414", "429", "431", "500", "503"]);
}
