//! The description of the JSON interface, made from the table of routes.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::access::{Access, Kind};
use super::routes::Route;

/// What an operation takes and gives: the names of types, as schemas.
#[derive(Clone, Copy, Default)]
pub(crate) struct Operation {
    /// What is sent.
    pub(crate) takes: Option<fn(&mut SchemaGenerator) -> schemars::Schema>,
    /// What is answered.
    pub(crate) gives: Option<fn(&mut SchemaGenerator) -> schemars::Schema>,
}

/// The description in OpenAPI 3.1.
pub(crate) fn describe(routes: &[Route]) -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let mut paths = Map::new();
    for route in routes.iter().filter(|route| route.path.starts_with("/api/")) {
        let mut operation = json!({
            "summary": route.summary,
            "responses": {
                "default": { "description": "a refusal or failure: problem details of RFC 9457" },
            },
        });
        let json_of =
            |schema: schemars::Schema| json!({ "content": { "application/json": { "schema": schema } } });
        if let Some(takes) = route.operation.takes {
            operation["requestBody"] = json_of(takes(&mut generator));
        }
        let mut success = json!({ "description": "done" });
        if let Some(gives) = route.operation.gives {
            success["content"] = json_of(gives(&mut generator))["content"].take();
        }
        operation["responses"]["2XX"] = success;
        if route.access != Access::Public || route.kind == Kind::Api {
            let optional = if route.access == Access::Public {
                json!([{}, { "token": [] }])
            } else {
                json!([{ "token": [] }])
            };
            operation["security"] = optional;
        }
        let parameters: Vec<Value> = route
            .path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
            .collect();
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_lowercase()] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Varve hub", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}
