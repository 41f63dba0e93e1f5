//! Whether an answer is one that the contract documents.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::LazyLock;

use deckle_api::Timestamp;
use deckle_api::errors::ErrorBody;
use serde_json::{Map, Value};

use super::normal::{Operations, is_of};

/// All operations: those of the contract as it has them, those beyond it as our own document has them.
static OPERATIONS: LazyLock<Operations> = LazyLock::new(|| {
    let mut operations = super::ours().operations();
    operations.extend(super::contract().operations());
    operations
});

/// Says why an answer of the v1 API is not one that its operation documents.
///
/// `path` is the path as it was asked for, with or without a query. What is not of the v1 API passes.
pub fn check(method: &str, path: &str, status: u16, body: &Value) -> Result<(), String> {
    let path = path.split('?').next().unwrap_or_default();
    let Some(path) = path.strip_prefix("/v1") else { return Ok(()) };
    let path = path.trim_end_matches('/');
    let said = match (status, path) {
        (200, "/openapi.json") => Ok(()),
        (200, _) => check_success(&OPERATIONS, method, path, body),
        _ => check_error(status, body),
    };
    said.map_err(|wrong| format!("{method} {path} answered {status}: {wrong}: {body}"))
}

fn check_success(operations: &Operations, method: &str, path: &str, body: &Value) -> Result<(), String> {
    let operation = operation(operations, method, path).ok_or("no document has this operation")?;
    accept("body", &operation["answers"]["200"]["application/json"], body)
}

/// The code is one of the closed list, it goes with the status, and there is nothing but a message beside.
fn check_error(status: u16, body: &Value) -> Result<(), String> {
    let told: ErrorBody = serde_json::from_value(body.clone()).map_err(|error| error.to_string())?;
    match told.code.status() {
        expected if expected != status => Err(format!("the code goes with {expected}")),
        _ if told.message.is_empty() => Err("the message is empty".to_owned()),
        _ => Ok(()),
    }
}

/// The operation of a path. A word of a template comes before a place for an id.
pub(super) fn operation<'a>(operations: &'a Operations, method: &str, path: &str) -> Option<&'a Value> {
    let matching = operations.iter().filter_map(|(name, operation)| {
        let (verb, template) = name.split_once(' ')?;
        (verb == method && fits(template, path)).then(|| (template.matches('{').count(), operation))
    });
    matching.min_by_key(|(ids, _)| *ids).map(|(_, operation)| operation)
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template.iter().zip(path).all(|(word, given)| *word == given || word.starts_with('{'))
}

/// Says why a value is not one that a schema, in its normal form, allows.
pub(super) fn accept(place: &str, schema: &Value, value: &Value) -> Result<(), String> {
    let alternatives: BTreeMap<&String, &Vec<Value>> = schema
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(kind, said)| Some((kind, said.as_array()?)))
        .collect();
    let mut wrong = None;
    for (kind, said) in &alternatives {
        for said in said.iter().filter(|_| is_of(kind, value)) {
            match accept_said(place, said, value) {
                Ok(()) => return Ok(()),
                Err(reason) => wrong = Some(reason),
            }
        }
    }
    let kinds: Vec<&str> = alternatives.keys().map(|kind| kind.as_str()).collect();
    Err(wrong.unwrap_or_else(|| format!("{place}: {value} is not {}", kinds.join(" or "))))
}

fn accept_said(place: &str, said: &Value, value: &Value) -> Result<(), String> {
    for (keyword, bound) in said.as_object().into_iter().flatten() {
        let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
        let chars = || value.as_str().unwrap_or_default().chars().count() as f64;
        let items = || value.as_array().map_or(0, Vec::len) as f64;
        let holds = match keyword.as_str() {
            "enum" => bound.as_array().is_some_and(|words| words.contains(value)),
            "minimum" => number(value) >= number(bound),
            "maximum" => number(value) <= number(bound),
            "exclusiveMinimum" => number(value) > number(bound),
            "exclusiveMaximum" => number(value) < number(bound),
            "pattern" => has_pattern(bound.as_str().unwrap_or_default(), value),
            "minLength" => chars() >= number(bound),
            "maxLength" => chars() <= number(bound),
            "minItems" => items() >= number(bound),
            "maxItems" => items() <= number(bound),
            "format" => has_format(bound.as_str().unwrap_or_default(), value)?,
            "required" => bound
                .as_array()
                .into_iter()
                .flatten()
                .all(|key| key.as_str().is_some_and(|key| value.get(key).is_some())),
            "properties" | "additionalProperties" => true,
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    accept(&format!("{place}[{index}]"), bound, item)?;
                }
                true
            }
            _ => return Err(format!("{place}: `{keyword}` is not checked yet")),
        };
        if !holds {
            return Err(format!("{place}: {value} breaks {keyword} {bound}"));
        }
    }
    value.as_object().map_or(Ok(()), |object| accept_keys(place, said, object))
}

fn accept_keys(place: &str, said: &Value, object: &Map<String, Value>) -> Result<(), String> {
    for (key, value) in object {
        let place = format!("{place}.{key}");
        match (said["properties"].get(key), said.get("additionalProperties")) {
            (Some(schema), _) => accept(&place, schema, value)?,
            (None, Some(Value::Bool(false))) => return Err(format!("{place} is not a documented key")),
            (None, Some(schema)) => accept(&place, schema, value)?,
            (None, None) => {}
        }
    }
    Ok(())
}

fn has_format(format: &str, value: &Value) -> Result<bool, String> {
    let text = value.as_str().unwrap_or_default();
    match format {
        "int64" => Ok(value.is_i64()),
        // Milliseconds, in UTC, with a Z: as the hosted API writes them.
        "date-time" => Ok(Timestamp::from_str(text).is_ok_and(|moment| moment.to_string() == text)),
        "email" => Ok(text.split('@').filter(|part| !part.is_empty()).count() == 2),
        "uri" => Ok(text.contains("://")),
        "uuid" => Ok(is_uuid(text)),
        _ => Err(format!("the format {format} is not checked yet")),
    }
}

/// Of patterns, the one that ids of the second dialect have.
fn has_pattern(pattern: &str, value: &Value) -> bool {
    let prefix = pattern.strip_prefix('^').and_then(|rest| rest.strip_suffix("[0-9a-hjkmnp-tv-z]{26}$"));
    let prefix = prefix.unwrap_or_else(|| panic!("the pattern {pattern} is not checked yet"));
    let digits = value.as_str().and_then(|text| text.strip_prefix(prefix)).unwrap_or_default();
    let is_digit = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase() && !b"ilou".contains(&byte);
    digits.len() == 26 && digits.bytes().all(is_digit)
}

fn is_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::normal::Document;
    use super::*;

    fn said(schema: Value, value: Value) -> String {
        let schema = Document::new(json!({})).schema(&schema);
        accept("body", &schema, &value).err().unwrap_or_default()
    }

    #[test]
    fn an_answer_is_what_its_schema_allows() {
        let machine = json!({
            "type": "object",
            "properties": {
                "name": {"type": "string", "minLength": 1, "maxLength": 3},
                "size": {"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": 10},
                "ram": {"type": "integer", "format": "int64"},
                "when": {"type": "string", "format": "date-time"},
                "state": {"type": "string", "enum": ["off", "ready"]},
                "tags": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["name"],
            "additionalProperties": false,
        });
        for (value, wrong) in [
            (json!({"name": "a", "size": null, "tags": ["x"]}), ""),
            (json!({"name": "abc", "size": 10, "ram": 1, "state": "off"}), ""),
            (json!({"when": "2023-11-14T22:13:20.123Z", "name": "a", "size": 0.5}), ""),
            (json!({}), r#"body: {} breaks required ["name"]"#),
            (json!({"name": null}), "body.name: null is not string"),
            (json!({"name": ""}), "body.name: \"\" breaks minLength 1"),
            (json!({"name": "abcd"}), "body.name: \"abcd\" breaks maxLength 3"),
            (json!({"name": "a", "size": "1"}), "body.size: \"1\" is not null or number"),
            (json!({"name": "a", "size": 0}), "body.size: 0 breaks exclusiveMinimum 0"),
            (json!({"name": "a", "size": 10.5}), "body.size: 10.5 breaks maximum 10"),
            (json!({"name": "a", "ram": 1.5}), "body.ram: 1.5 is not integer"),
            (json!({"name": "a", "state": "on"}), r#"body.state: "on" breaks enum ["off","ready"]"#),
            (json!({"name": "a", "tags": ["x", 1]}), "body.tags[1]: 1 is not string"),
            (json!({"name": "a", "other": 1}), "body.other is not a documented key"),
            (
                json!({"name": "a", "when": "2023-11-14T22:13:20Z"}),
                r#"body.when: "2023-11-14T22:13:20Z" breaks format "date-time""#,
            ),
            (json!([]), "body: [] is not object"),
        ] {
            assert_eq!(said(machine.clone(), value.clone()), wrong, "{value}");
        }
    }

    #[test]
    fn one_of_several_alternatives_is_enough() {
        let region =
            json!({"anyOf": [{"type": "string", "enum": ["ny2"]}, {"type": "number", "minimum": 5}]});
        assert_eq!(said(region.clone(), json!("ny2")), "");
        assert_eq!(said(region.clone(), json!(5)), "");
        assert_eq!(said(region.clone(), json!(4)), "body: 4 breaks minimum 5");
        assert_eq!(said(region, json!(null)), "body: null is not number or string");
        assert_eq!(said(json!({}), json!({"a": 1})), "");
        let texts = json!({"type": "object", "additionalProperties": {"type": "string"}});
        assert_eq!(said(texts.clone(), json!({"a": "1"})), "");
        assert_eq!(said(texts, json!({"a": 1})), "body.a: 1 is not string");
    }

    #[test]
    fn a_path_finds_its_operation() {
        let ids = |path: &str| OPERATIONS.get(path).map(|operation| operation["operationId"].clone());
        let found = |method, path| operation(&OPERATIONS, method, path).map(|o| o["operationId"].clone());
        for (method, path, name) in [
            ("GET", "/machines", "GET /machines"),
            ("GET", "/machines/ps1", "GET /machines/{id}"),
            ("PATCH", "/machines/ps1/stop", "PATCH /machines/{id}/stop"),
            ("GET", "/storage-providers/utilization", "GET /storage-providers/utilization"),
            ("GET", "/storage-providers/sp1", "GET /storage-providers/{id}"),
            ("GET", "/ssh-keys", "GET /ssh-keys"),
        ] {
            assert_eq!(found(method, path), ids(name), "{method} {path}");
            assert!(found(method, path).is_some(), "{method} {path}");
        }
        assert_eq!(found("PUT", "/machines"), None);
        assert_eq!(found("GET", "/machine"), None);
    }

    #[test]
    fn answers_are_checked_by_path_and_status() {
        let wrong = |method, path, status, body| check(method, path, status, &body).err().unwrap_or_default();
        assert_eq!(wrong("GET", "/v1/health", 200, json!("HEALTHY")), "");
        assert_eq!(wrong("GET", "/v1/health/?a=b", 200, json!("HEALTHY")), "");
        assert_eq!(wrong("GET", "/v1/auth/session", 200, json!(null)), "");
        assert_eq!(wrong("GET", "/admin/teams", 200, json!([])), "");
        assert_eq!(wrong("GET", "/v1/machines?limit=1", 200, json!({"hasMore": false, "items": []})), "");
        assert!(wrong("GET", "/v1/health", 200, json!("ill")).contains("breaks enum"));
        assert!(wrong("GET", "/v1/nothing", 200, json!(null)).contains("no document has this operation"));
        let told = json!({"code": "NOT_FOUND", "message": "there is none"});
        assert_eq!(wrong("GET", "/v1/nothing", 404, told.clone()), "");
        assert!(wrong("GET", "/v1/nothing", 400, told).contains("the code goes with 404"));
        assert!(wrong("GET", "/v1/nothing", 404, json!({"code": "NO", "message": "x"})).contains("NO"));
    }
}
