//! A page for each kind, made from the schemas of the Rust types. They say more than the definitions in the cluster: what each value of an
//! enumeration means.

use mainstay_crds::{FOREIGN, Kind, kinds, resolve};
use serde_json::Value;

use crate::Gap;
use crate::table::Table;

/// The pages.
pub(crate) fn pages() -> Result<Vec<(String, String)>, Gap> {
    kinds().iter().map(|kind| Ok((format!("{}.md", kind.definition.spec.names.kind.to_lowercase()), page(kind)?))).collect()
}

fn page(kind: &Kind) -> Result<String, Gap> {
    let spec = &kind.definition.spec;
    let names = &spec.names;
    let version = spec.versions.first().ok_or_else(|| format!("{} has no version", names.kind))?;
    let about = text(&kind.spec, "description");
    let short = names.short_names.iter().flatten().map(|name| format!(", `{name}`")).collect::<String>();
    let mut page = format!(
        "# {}\n\n{}\n\n`apiVersion: {}/{}`, `kind: {}`; for kubectl `{}`{short}.\n",
        names.kind, about, spec.group, version.name, names.kind, names.plural
    );
    let columns = |wide: bool| {
        let all = version.additional_printer_columns.iter().flatten();
        let shown = all.filter(|column| (column.priority.unwrap_or_default() > 0) == wide);
        shown.map(|column| column.name.to_uppercase()).collect::<Vec<_>>().join(", ")
    };
    if !columns(false).is_empty() {
        page.push_str(&format!("`kubectl get` shows {}; with `-o wide` also {}.\n", columns(false), columns(true)));
    }
    for (title, schema) in [("spec", Some(&kind.spec)), ("status", kind.status.as_ref())] {
        let Some(schema) = schema else { continue };
        let definitions = schema.get("$defs").unwrap_or(&Value::Null);
        let mut fields = Fields { definitions, table: Table::new(&["field", "type", "what it is"]) };
        fields.of(schema, "")?;
        page.push_str(&format!("\n## {title}\n\n"));
        for rule in rules(schema) {
            page.push_str(&format!("The API server says: *{rule}*.\n\n"));
        }
        page.push_str(&fields.table.into_text());
    }
    Ok(page)
}

struct Fields<'a> {
    definitions: &'a Value,
    table: Table,
}

impl Fields<'_> {
    /// A row for each property, and for those below it.
    fn of(&mut self, schema: &Value, above: &str) -> Result<(), Gap> {
        let required: Vec<&str> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return Ok(()) };
        for (name, property) in properties {
            let path = format!("{above}{name}");
            let schema = resolve(property, self.definitions);
            let item = schema.get("items").map(|items| resolve(items, self.definitions));
            let described = text(&schema, "description");
            if described.is_empty() {
                return Err(format!("{path} has no description"));
            }
            let mut kind = kind(&schema, item.as_ref());
            if required.contains(&name.as_str()) {
                kind.push_str(", required");
            }
            let more = bounds(&schema).into_iter().chain(values(item.as_ref().unwrap_or(&schema))).chain(said(&schema));
            let more: String = more.map(|more| format!(" {more}")).collect();
            self.table.row(&[&format!("`{path}`"), &kind, &format!("{}{more}", plain(&described))]);
            if is_foreign(&schema) || item.as_ref().is_some_and(is_foreign) {
                continue;
            }
            match &item {
                Some(item) => self.of(item, &format!("{path}[]."))?,
                None => self.of(&schema, &format!("{path}."))?,
            }
        }
        Ok(())
    }
}

fn is_foreign(schema: &Value) -> bool {
    schema.get(FOREIGN).is_some()
}

fn text(schema: &Value, key: &str) -> String {
    schema.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Without the links of rustdoc.
fn plain(text: &str) -> String {
    text.replace("[`", "`").replace("`]", "`")
}

/// The type, for people.
fn kind(schema: &Value, item: Option<&Value>) -> String {
    if let Some(name) = schema.get(FOREIGN).and_then(Value::as_str) {
        return match name {
            "Time" => "time".to_owned(),
            name => format!("Kubernetes' {name}"),
        };
    }
    if let Some(item) = item {
        return format!("list of {}", kind(item, None));
    }
    if schema.get("oneOf").is_some() || schema.get("enum").is_some() {
        return "word".to_owned();
    }
    if schema.get("additionalProperties").is_some_and(|value| !value.is_boolean()) {
        return "map".to_owned();
    }
    let named = schema.get("type").map(|kind| match kind {
        Value::Array(all) => all.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or_default().to_owned(),
        other => other.as_str().unwrap_or_default().to_owned(),
    });
    named.unwrap_or_default()
}

/// How long, how many, how large.
fn bounds(schema: &Value) -> Option<String> {
    let number = |key: &str| schema.get(key).and_then(Value::as_i64);
    [
        ("minLength", "maxLength", "characters"),
        ("minItems", "maxItems", "entries"),
        ("minimum", "maximum", ""),
        ("minProperties", "maxProperties", "entries"),
    ]
    .into_iter()
    .find_map(|(least, most, of)| {
        let words = match (number(least), number(most)) {
            (Some(least), Some(most)) => format!("{least} to {most} {of}"),
            (Some(least), None) if least > 0 => format!("At least {least} {of}"),
            (None, Some(most)) => format!("At most {most} {of}"),
            _ => return None,
        };
        Some(format!("{}.", words.trim()))
    })
}

/// The values of an enumeration, each with its meaning where it has one.
fn values(schema: &Value) -> Option<String> {
    let list = |key: &str| schema.get(key).and_then(Value::as_array);
    let all: Vec<String> = match (list("oneOf"), list("enum")) {
        (Some(all), _) => {
            all.iter().map(|one| format!("`{}`: {}", text(one, "const"), plain(text(one, "description").trim_end_matches('.')))).collect()
        }
        (None, Some(all)) => all.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect(),
        _ => return None,
    };
    Some(format!("<br>{}.", all.join(".<br>")))
}

fn rules(schema: &Value) -> Vec<String> {
    let all = schema.get("x-kubernetes-validations").and_then(Value::as_array);
    all.into_iter().flatten().map(|rule| text(rule, "message")).filter(|message| !message.is_empty()).collect()
}

/// What the API server says to a value that is against a rule.
fn said(schema: &Value) -> Option<String> {
    let rules: Vec<String> = rules(schema).into_iter().map(|rule| format!("*{}*.", rule.replace('*', "\\*"))).collect();
    (!rules.is_empty()).then(|| format!("<br>{}", rules.join("<br>")))
}
