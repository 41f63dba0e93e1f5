//! API documents in one way of writing, so that two that mean the same are equal.
//!
//! A schema becomes its alternatives by type: `{"string": [{"enum": ["a", "b"]}], "null": [{}]}`. So
//! `type: [string, null]`, `oneOf` with null and a `$ref` beside a default are written alike, `const` is
//! an `enum` of one, and what generators add without meaning is left out.
//!
//! **Invariant**: a keyword that is not known here panics: nothing is left out unseen.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// What says something to a reader, and nothing about what is allowed.
const PROSE: [&str; 6] = ["title", "description", "summary", "example", "examples", "deprecated"];
/// Formats that generators give to every number.
const NUMBER_NOISE: [&str; 3] = ["int32", "float", "double"];

/// A type, and the keywords that say more about it.
const TYPES: [(&str, &[&str]); 7] = [
    ("null", &[]),
    ("boolean", &[]),
    ("integer", &["format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]),
    ("number", &["format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]),
    ("string", &["format", "minLength", "maxLength", "pattern"]),
    ("array", &["items", "minItems", "maxItems"]),
    ("object", &["properties", "required", "additionalProperties", "propertyNames"]),
];

/// What may be said of values, by their type.
type Alternatives = BTreeMap<String, Vec<Value>>;

/// An OpenAPI 3.1 document.
pub struct Document(Value);

/// Operations by `METHOD /path`, each in its normal form.
pub type Operations = BTreeMap<String, Value>;

impl Document {
    pub fn new(document: Value) -> Self {
        Self(document)
    }

    pub fn read(text: &str) -> Self {
        Self(serde_json::from_str(text).expect("the document is JSON"))
    }

    pub fn operations(&self) -> Operations {
        let paths = object(&self.0["paths"]).iter();
        paths.flat_map(|(path, methods)| self.operations_of(path, object(methods))).collect()
    }

    fn operations_of<'a>(
        &'a self,
        path: &'a str,
        methods: &'a Map<String, Value>,
    ) -> impl Iterator<Item = (String, Value)> + 'a {
        methods.iter().map(move |(method, operation)| {
            assert!(["get", "put", "post", "patch", "delete"].contains(&method.as_str()), "{path}: {method}");
            (format!("{} {path}", method.to_uppercase()), self.operation(object(operation)))
        })
    }

    fn operation(&self, operation: &Map<String, Value>) -> Value {
        known(
            operation,
            &["operationId", "tags", "security", "parameters", "requestBody", "responses"],
            "operation",
        );
        let unless_said = self.0.get("security").cloned().unwrap_or_else(|| json!([]));
        let security = operation.get("security").cloned().unwrap_or(unless_said);
        json!({
            "operationId": operation["operationId"],
            "tags": sorted(operation.get("tags").cloned().unwrap_or_else(|| json!([]))),
            "security": sorted(security),
            "parameters": operation.get("parameters").map_or(json!({}), |all| self.parameters(list(all))),
            "body": operation.get("requestBody").map_or(Value::Null, |body| self.body(object(body))),
            "answers": self.answers(object(&operation["responses"])),
        })
    }

    fn parameters(&self, parameters: &[Value]) -> Value {
        let by_name = parameters.iter().map(|parameter| {
            let parameter = object(parameter);
            known(parameter, &["name", "in", "required", "schema"], "parameter");
            let name = format!("{} {}", text(&parameter["in"]), text(&parameter["name"]));
            let required = parameter.get("required").is_some_and(|required| required == true);
            (name, json!({"required": required, "schema": self.schema(&parameter["schema"])}))
        });
        by_name.collect()
    }

    fn body(&self, body: &Map<String, Value>) -> Value {
        known(body, &["required", "content"], "body");
        let required = body.get("required").is_some_and(|required| required == true);
        json!({"required": required, "content": self.content(&body["content"])})
    }

    fn answers(&self, answers: &Map<String, Value>) -> Value {
        let by_status = answers.iter().map(|(status, answer)| {
            let answer = self.resolved(object(answer));
            known(&answer, &["content"], "answer");
            (status.clone(), answer.get("content").map_or(json!({}), |content| self.content(content)))
        });
        by_status.collect()
    }

    fn content(&self, content: &Value) -> Value {
        let by_kind = object(content).iter().map(|(kind, content)| {
            let content = object(content);
            known(content, &["schema"], "content");
            (kind.clone(), self.schema(&content["schema"]))
        });
        by_kind.collect()
    }

    /// A schema's normal form.
    pub fn schema(&self, schema: &Value) -> Value {
        let schema = self.resolved(object(schema));
        let mut normal = Map::new();
        for (kind, mut said) in self.alternatives(&schema) {
            said.sort_by_key(Value::to_string);
            said.dedup();
            normal.insert(kind, Value::Array(said));
        }
        if let Some(default) = schema.get("default") {
            normal.insert("default".to_owned(), default.clone());
        }
        Value::Object(normal)
    }

    /// What a schema allows, by type.
    fn alternatives(&self, schema: &Map<String, Value>) -> Alternatives {
        for (choice, only_one) in [("anyOf", false), ("oneOf", true)] {
            if let Some(choices) = schema.get(choice) {
                known(schema, &[choice, "default"], "choice");
                return self.choice(list(choices), only_one);
            }
        }
        kinds(schema).into_iter().map(|kind| (kind.clone(), vec![self.said_of(&kind, schema)])).collect()
    }

    fn choice(&self, choices: &[Value], only_one: bool) -> Alternatives {
        let mut all = Alternatives::new();
        for choice in choices {
            let choice = self.resolved(object(choice));
            assert!(!choice.contains_key("default"), "a default in one of several choices: {choice:?}");
            for (kind, said) in self.alternatives(&choice) {
                let overlaps = only_one && all.contains_key(&kind);
                assert!(!overlaps, "only one may hold, and several are of one type: {choices:?}");
                all.entry(kind).or_default().extend(said);
            }
        }
        all
    }

    /// What a schema says of values of one type.
    fn said_of(&self, kind: &str, schema: &Map<String, Value>) -> Value {
        let mut said = Map::new();
        let (_, keywords) = TYPES.iter().find(|(name, _)| *name == kind).copied().unwrap_or((kind, &[]));
        for keyword in keywords {
            if let Some(value) = schema.get(*keyword) {
                self.say(&mut said, keyword, value);
            }
        }
        if let Some(values) = values_of(schema) {
            let of_kind: Vec<Value> = values.into_iter().filter(|value| is_of(kind, value)).collect();
            if kind != "null" {
                said.insert("enum".to_owned(), sorted(Value::Array(of_kind)));
            }
        }
        sorted_keys(said)
    }

    fn say(&self, said: &mut Map<String, Value>, keyword: &str, value: &Value) {
        let normal = match keyword {
            "format" if NUMBER_NOISE.contains(&text(value)) => return,
            "additionalProperties" if *value == true || *value == json!({}) => return,
            "additionalProperties" if *value == false => json!(false),
            "additionalProperties" | "items" => self.schema(value),
            "properties" if object(value).is_empty() => return,
            "properties" => sorted_keys(
                object(value).iter().map(|(name, schema)| (name.clone(), self.schema(schema))).collect(),
            ),
            "required" if list(value).is_empty() => return,
            "required" => sorted(value.clone()),
            // The names of an object's keys are strings in any case.
            "propertyNames" if *value == json!({"type": "string"}) => return,
            _ => value.clone(),
        };
        said.insert(keyword.to_owned(), normal);
    }

    /// An object with its `$ref` followed, and without prose. What stands beside a `$ref` goes on top.
    fn resolved(&self, object_or_ref: &Map<String, Value>) -> Map<String, Value> {
        let mut beside = object_or_ref.clone();
        beside.retain(|key, _| !PROSE.contains(&key.as_str()));
        let mut resolved = match (beside.remove("$ref"), beside.remove("allOf")) {
            (None, None) => return beside,
            (Some(reference), None) => self.resolved(self.at(text(&reference))),
            (None, Some(parts)) => self.whole(list(&parts)),
            (Some(_), Some(_)) => panic!("both a reference and parts: {object_or_ref:?}"),
        };
        resolved.extend(beside);
        resolved
    }

    fn at(&self, reference: &str) -> &Map<String, Value> {
        let there = reference.strip_prefix('#').and_then(|pointer| self.0.pointer(pointer));
        object(there.unwrap_or_else(|| panic!("{reference} leads nowhere")))
    }

    /// What `allOf` means where one part says all that the others do: so generators hang prose on a schema.
    fn whole(&self, parts: &[Value]) -> Map<String, Value> {
        let parts: Vec<_> = parts.iter().map(|part| self.resolved(object(part))).collect();
        let whole = parts.iter().max_by_key(|part| part.len()).cloned().unwrap_or_default();
        let adds = |part: &Map<String, Value>| part.iter().any(|(key, value)| whole.get(key) != Some(value));
        assert!(!parts.iter().any(adds), "parts of which none is the whole are not compared yet: {parts:?}");
        whole
    }
}

/// The types that a schema without choices allows; `any` when it says nothing.
fn kinds(schema: &Map<String, Value>) -> Vec<String> {
    let kinds = match (schema.get("type"), values_of(schema)) {
        (Some(Value::String(kind)), _) => vec![kind.clone()],
        (Some(several), _) => list(several).iter().map(|kind| text(kind).to_owned()).collect(),
        (None, Some(values)) => {
            let mut kinds: Vec<String> = values.iter().map(|value| kind_of(value).to_owned()).collect();
            kinds.dedup();
            kinds
        }
        (None, None) => vec!["any".to_owned()],
    };
    let of_kinds = TYPES.iter().filter(|(name, _)| kinds.iter().any(|kind| kind == name));
    let mut allowed: Vec<&str> = of_kinds.flat_map(|(_, keywords)| keywords.iter().copied()).collect();
    allowed.extend(["type", "enum", "const", "default"]);
    known(schema, &allowed, "schema");
    kinds
}

fn values_of(schema: &Map<String, Value>) -> Option<Vec<Value>> {
    let one = schema.get("const").map(|value| vec![value.clone()]);
    one.or_else(|| schema.get("enum").map(|values| list(values).to_vec()))
}

/// The type of a value. A whole number is an integer.
pub fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Whether a value is of a type.
pub fn is_of(kind: &str, value: &Value) -> bool {
    kind == "any" || kind == kind_of(value) || (kind == "number" && value.is_number())
}

fn known(object: &Map<String, Value>, keys: &[&str], what: &str) {
    for key in object.keys() {
        let said = keys.contains(&key.as_str()) || PROSE.contains(&key.as_str());
        assert!(said, "`{key}` of a {what} is not compared yet: {object:?}");
    }
}

fn sorted(list: Value) -> Value {
    let Value::Array(mut items) = list else { panic!("not a list: {list}") };
    items.sort_by_key(Value::to_string);
    Value::Array(items)
}

fn sorted_keys(object: Map<String, Value>) -> Value {
    let mut entries: Vec<(String, Value)> = object.into_iter().collect();
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    Value::Object(entries.into_iter().collect())
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("not an object: {value}"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("not a list: {value}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not text: {value}"))
}

#[test]
fn what_means_the_same_is_written_alike() {
    let document =
        Document::new(json!({"components": {"schemas": {"Word": {"type": "string", "enum": ["b", "a"]}}}}));
    let word = json!({"$ref": "#/components/schemas/Word"});
    for (one, other) in [
        (json!({"type": ["string", "null"]}), json!({"oneOf": [{"type": "null"}, {"type": "string"}]})),
        (
            json!({"type": ["string", "null"], "enum": ["a", "b", null]}),
            json!({"oneOf": [{"type": "null"}, word]}),
        ),
        (
            json!({"type": "string", "enum": ["a", "b"], "default": "a"}),
            json!({"$ref": "#/components/schemas/Word", "default": "a", "description": "A word."}),
        ),
        (
            json!({"type": "string", "enum": ["a", "b"]}),
            json!({"allOf": [{"$ref": "#/components/schemas/Word"}, {"type": "string", "title": "A word"}]}),
        ),
        (json!({"const": "up"}), json!({"type": "string", "enum": ["up"]})),
        (json!({"type": "number"}), json!({"type": "number", "format": "double"})),
        (json!({"type": "integer"}), json!({"type": "integer", "format": "int32"})),
        (
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            json!({"type": "object", "additionalProperties": {"type": "string"}, "propertyNames": {"type": "string"}}),
        ),
        (
            json!({"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a", "b"]}),
            json!({"type": "object", "properties": {"b": {}, "a": {}}, "required": ["b", "a"]}),
        ),
        (json!({"type": "object", "properties": {}}), json!({"type": "object", "additionalProperties": {}})),
    ] {
        assert_eq!(document.schema(&one), document.schema(&other), "{one} and {other}");
    }
}

#[test]
fn what_means_something_else_is_written_otherwise() {
    let document = Document::new(json!({}));
    let strings = |closed: bool| json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": !closed});
    for (one, other) in [
        (json!({"type": "string"}), json!({"type": ["string", "null"]})),
        (json!({"type": "integer"}), json!({"type": "number"})),
        (json!({"type": "integer"}), json!({"type": "integer", "format": "int64"})),
        (json!({"type": "integer"}), json!({"type": "integer", "minimum": 0})),
        (json!({"type": "string"}), json!({"type": "string", "default": ""})),
        (json!({"type": "string"}), json!({"type": "string", "format": "date-time"})),
        (json!({"type": "string", "enum": ["a"]}), json!({"type": "string", "enum": ["a", "b"]})),
        (json!({"type": ["string", "null"], "default": null}), json!({"type": ["string", "null"]})),
        (strings(true), strings(false)),
        (json!({}), json!({"type": "object"})),
    ] {
        assert_ne!(document.schema(&one), document.schema(&other), "{one} and {other}");
    }
}

#[test]
#[should_panic(expected = "`not` of a schema is not compared yet")]
fn an_unknown_keyword_is_not_passed_over() {
    Document::new(json!({})).schema(&json!({"type": "string", "not": {"minLength": 2}}));
}
