use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt;
use schemars::{JsonSchema, schema_for};
use serde_json::{Map, Value};

use crate::{
    AllowedImages, AllowedImagesSpec, ContainerImage, ContainerImageSpec, ContainerImageStatus, ImageBuild, ImageBuildSpec,
    ImageBuildStatus, ManifestPin, ManifestPinSpec, ManifestPinStatus, SourceRepository, SourceRepositorySpec, SourceRepositoryStatus,
};

/// Name of [`resolve`]'s mark on a type that is Kubernetes' own.
pub const FOREIGN: &str = "x-foreign";

/// A kind of ours: what the cluster is told, and the schemas of the Rust types, which say more (what each word of an enumeration means).
#[derive(Debug, Clone)]
pub struct Kind {
    /// What the cluster is told.
    pub definition: CustomResourceDefinition,
    /// Schema of the spec, with its parts under `$defs`.
    pub spec: Value,
    /// Schema of the status, where there is one.
    pub status: Option<Value>,
}

impl Kind {
    fn new<K: CustomResourceExt, S: JsonSchema>(status: Option<Value>) -> Self {
        let mut kind = Self { definition: K::crd(), spec: schema_for!(S).to_value(), status };
        let schemas = [("spec", Some(&kind.spec)), ("status", kind.status.as_ref())];
        for version in &mut kind.definition.spec.versions {
            let properties = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()?.properties.as_mut());
            let Some(properties) = properties else { continue };
            for (part, schema) in schemas {
                if let (Some(target), Some(schema)) = (properties.get_mut(part), schema) {
                    describe(target, schema, schema.get("$defs").unwrap_or(&Value::Null));
                }
            }
        }
        kind
    }
}

/// All kinds, in the order in which a newcomer meets them.
pub fn kinds() -> Vec<Kind> {
    fn status<S: JsonSchema>() -> Option<Value> {
        Some(schema_for!(S).to_value())
    }
    vec![
        Kind::new::<SourceRepository, SourceRepositorySpec>(status::<SourceRepositoryStatus>()),
        Kind::new::<ContainerImage, ContainerImageSpec>(status::<ContainerImageStatus>()),
        Kind::new::<ImageBuild, ImageBuildSpec>(status::<ImageBuildStatus>()),
        Kind::new::<ManifestPin, ManifestPinSpec>(status::<ManifestPinStatus>()),
        Kind::new::<AllowedImages, AllowedImagesSpec>(None),
    ]
}

/// Follows references and takes the part that is not null; what stands beside them says more of this very field. What is Kubernetes' own has
/// the name of its type under [`FOREIGN`].
pub fn resolve(schema: &Value, definitions: &Value) -> Value {
    let Some(map) = schema.as_object() else { return schema.clone() };
    let part = |list: &str| map.get(list).and_then(Value::as_array)?.iter().find(|part| part.get("type") != Some(&"null".into()));
    let inner = match map.get("$ref").and_then(Value::as_str) {
        Some(reference) => {
            let name = reference.rsplit('/').next().unwrap_or_default();
            let mut found = definitions.get(name).cloned().unwrap_or_default();
            if let (true, Some(found)) = (name.starts_with("io.k8s."), found.as_object_mut()) {
                found.insert(FOREIGN.to_owned(), name.rsplit('.').next().unwrap_or_default().into());
            }
            found
        }
        None => match part("anyOf").or_else(|| part("allOf")) {
            Some(part) => resolve(part, definitions),
            None => return schema.clone(),
        },
    };
    let mut whole: Map<String, Value> = inner.as_object().cloned().unwrap_or_default();
    whole.extend(map.iter().filter(|(key, _)| !is_reference(key)).map(|(key, value)| (key.clone(), value.clone())));
    Value::Object(whole)
}

fn is_reference(key: &str) -> bool {
    matches!(key, "$ref" | "anyOf" | "allOf")
}

/// Gives fields back what they say of themselves. Where a field is an enumeration, the definition has only what the type says, and
/// `kubectl explain` would say of `build.engine` that it is "What builds an image.", and not what the default is.
fn describe(target: &mut JSONSchemaProps, schema: &Value, definitions: &Value) {
    let whole = resolve(schema, definitions);
    if whole.get(FOREIGN).is_some() {
        return;
    }
    if let (Some(JSONSchemaPropsOrArray::Schema(target)), Some(items)) = (&mut target.items, whole.get("items")) {
        describe(target, items, definitions);
    }
    let (Some(targets), Some(properties)) = (&mut target.properties, whole.get("properties").and_then(Value::as_object)) else { return };
    for (name, property) in properties {
        let Some(target) = targets.get_mut(name) else { continue };
        let refers = property.as_object().is_some_and(|map| map.keys().any(|key| is_reference(key)));
        if let Some(text) = property.get("description").and_then(Value::as_str).filter(|_| refers) {
            target.description = Some(text.to_owned());
        }
        describe(target, property, definitions);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_says_what_it_is_and_not_only_what_its_type_is() {
        let of = |pointer: &str| {
            let kinds = kinds();
            let image = kinds.iter().find(|kind| kind.definition.spec.names.kind == "ContainerImage").unwrap();
            let all = serde_json::to_value(image.definition.spec.versions[0].schema.as_ref().unwrap()).unwrap();
            all.pointer(&format!("/openAPIV3Schema/properties/{pointer}/description")).unwrap().as_str().unwrap().to_owned()
        };
        assert!(of("spec/properties/sourceRef").starts_with("The SourceRepository."));
        assert!(of("spec/properties/build/properties/engine").contains("Default: `auto`"));
        assert!(of("status/properties/variants/items/properties/lastFailure").starts_with("Why there is no image"));
        assert_eq!(of("spec/properties/suspend"), "Make no new builds while true. Builds that run are finished.");
    }
}
