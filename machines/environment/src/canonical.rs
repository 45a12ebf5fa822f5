//! The canonical form that the id is computed over: one environment, one text.

use serde_json::{Map, Value, json};

use crate::environment::{Environment, Source};
use crate::text::VERSION;

/// The canonical form of an environment.
pub(crate) fn text(environment: &Environment) -> String {
    let mut text = String::new();
    write(&value(environment), &mut text);
    text
}

fn value(environment: &Environment) -> Value {
    let software: Vec<Value> = environment.software.iter().map(source).collect();
    let mut value = Map::new();
    let mut put = |key: &str, part: Value| value.insert(key.to_owned(), part);
    put("version", VERSION.into());
    put("architecture", environment.architecture.name().into());
    put("software", software.into());
    put("variables", json!(environment.variables));
    if let Some(system) = &environment.system {
        put("system", source(system));
    }
    if let Some(image) = &environment.image {
        put("image", json!({ "sha256": image.sha256.to_string(), "size": image.size }));
    }
    if let Some(context) = &environment.context {
        put("context", context.as_str().into());
    }
    if let Some(entry) = &environment.entry {
        let mut part = json!({ "command": entry.command });
        if let Some(directory) = &entry.directory {
            part["directory"] = directory.as_str().into();
        }
        put("entry", part);
    }
    value.into()
}

fn source(source: &Source) -> Value {
    let mut value = json!({
        "repository": source.repository.as_str(),
        "root": source.root.to_string(),
        "revision": source.revision,
        "key": source.key.to_string(),
    });
    if let Some(tag) = &source.tag {
        value["tag"] = tag.as_str().into();
    }
    value
}

/// Writes a value with the keys of every object sorted, whatever order they were put in.
fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<(&String, &Value)> = object.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            text.push('{');
            for (at, (key, value)) in entries.into_iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                write(&Value::String(key.clone()), text);
                text.push(':');
                write(value, text);
            }
            text.push('}');
        }
        Value::Array(values) => {
            text.push('[');
            for (at, value) in values.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                write(value, text);
            }
            text.push(']');
        }
        // Without blanks; of characters, only those are escaped that have to be.
        scalar => text.push_str(&scalar.to_string()),
    }
}
