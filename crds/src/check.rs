use kube::core::cel::Validator;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{AllowedImages, ContainerImage, ImageBuild, ManifestPin, SourceRepository, definitions};

/// What is wrong with an object of ours: what the API server says by its CEL rules, fields that do not exist, and what the type does not take.
/// Bounds of the plain schema (lengths, counts) are left to the API server.
pub fn complaints(object: &Value) -> Vec<String> {
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    let Some(schema) = schema(kind) else { return vec![format!("kind {kind:?} is none of ours")] };
    let mut found: Vec<String> = match Validator::new().validate(&schema, object, None) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.into_iter().map(|error| error.to_string()).collect(),
    };
    found.extend(unknown_fields(object));
    let typed = match kind {
        "SourceRepository" => refusal::<SourceRepository>(object),
        "ContainerImage" => refusal::<ContainerImage>(object),
        "ImageBuild" => refusal::<ImageBuild>(object),
        "ManifestPin" => refusal::<ManifestPin>(object),
        _ => refusal::<AllowedImages>(object),
    };
    found.extend(typed);
    found
}

/// Fields of an object of ours, or of a part of one, that do not exist: the API server drops them, and people wonder.
pub fn unknown_fields(object: &Value) -> Vec<String> {
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    let mut found = Vec::new();
    if let Some(schema) = schema(kind) {
        for part in ["spec", "status"] {
            if let (Some(value), Some(schema)) = (object.get(part), schema.get("properties").and_then(|all| all.get(part))) {
                walk(value, schema, part, &mut found);
            }
        }
    }
    found
}

fn schema(kind: &str) -> Option<Value> {
    let crd = definitions().into_iter().find(|crd| crd.spec.names.kind == kind)?;
    serde_json::to_value(crd.spec.versions.first()?.schema.as_ref()?.open_api_v3_schema.as_ref()?).ok()
}

fn refusal<K: DeserializeOwned>(object: &Value) -> Option<String> {
    serde_json::from_value::<K>(object.clone()).err().map(|error| error.to_string())
}

fn walk(value: &Value, schema: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            let Some(known) = schema.get("properties") else {
                // Keys of a map are the author's.
                return;
            };
            for (key, value) in map {
                match known.get(key) {
                    Some(schema) => walk(value, schema, &format!("{at}.{key}"), found),
                    None => found.push(format!("there is no field {at}.{key}")),
                }
            }
        }
        Value::Array(all) => {
            let Some(schema) = schema.get("items") else { return };
            all.iter().enumerate().for_each(|(number, value)| walk(value, schema, &format!("{at}[{number}]"), found));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_does_not_exist_is_named() {
        let pin = |spec: &str| -> Value {
            serde_saphyr::from_str(&format!(
                "{{apiVersion: mainstay.dev/v1alpha1, kind: ManifestPin, metadata: {{name: a}}, spec: {spec}}}"
            ))
            .unwrap()
        };
        assert_eq!(complaints(&pin("{paths: [a]}")), Vec::<String>::new());
        assert_eq!(complaints(&pin("{paths: [a], wirte: DryRun}")), ["there is no field spec.wirte"]);
        assert_eq!(unknown_fields(&pin("{commit: {autor: me}}")), ["there is no field spec.commit.autor"]);
        assert_eq!(complaints(&serde_json::json!({"kind": "Deployment"})), ["kind \"Deployment\" is none of ours"]);
    }
}
