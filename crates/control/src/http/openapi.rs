//! The API's description, from the routes themselves.

use deckle_api::errors::ErrorBody;
use deckle_api::hostup::Problem;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

/// Answers of every operation that does not succeed.
#[derive(utoipa::IntoResponses)]
#[response(status = "default", description = "Error response")]
pub struct Failure(pub ErrorBody);

#[derive(OpenApi)]
#[openapi(info(title = "Deckle: the v1 API", description = "Your own machines as a GPU cloud."),
    servers((url = "/v1")), components(schemas(ErrorBody)))]
struct Head;

/// The head of the document, that the routes are added to.
pub fn head() -> utoipa::openapi::OpenApi {
    completed(Head::openapi())
}

fn completed(mut head: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    env!("CARGO_PKG_VERSION").clone_into(&mut head.info.version);
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    let components = head.components.get_or_insert_default();
    components.add_security_scheme("BearerAuth", SecurityScheme::Http(bearer));
    head
}

#[derive(OpenApi)]
#[openapi(info(title = "Deckle: the v2 API", description = "Private networks in the second dialect."),
    servers((url = "/api/v2")), components(schemas(Problem)))]
struct SecondHead;

/// The head of the second dialect's document, that the routes are added to.
pub fn second_head() -> utoipa::openapi::OpenApi {
    completed(SecondHead::openapi())
}

/// Objects that may have keys beside those that are listed: the contracts leave them open.
const OPEN: [&str; 6] =
    ["AccountStanding", "AttachedVps", "PrivateNetworkCreate", "Problem", "ProblemField", "Subnet"];

/// The document as it is served: an object has the keys that it lists and no other.
pub fn document(api: &utoipa::openapi::OpenApi) -> Value {
    let mut document = serde_json::to_value(api).unwrap_or_default();
    close(&mut document);
    for name in OPEN {
        open(&mut document, name);
    }
    document
}

fn close(value: &mut Value) {
    match value {
        Value::Object(object) => {
            close_object(object);
            object.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

fn close_object(object: &mut Map<String, Value>) {
    let is_object = match object.get("type") {
        Some(Value::String(kind)) => kind == "object",
        Some(Value::Array(kinds)) => kinds.contains(&json!("object")),
        _ => false,
    };
    if is_object && object.get("properties").is_some_and(Value::is_object) {
        object.entry("additionalProperties").or_insert(json!(false));
    }
}

fn open(document: &mut Value, name: &str) {
    if let Some(Value::Object(schema)) = document.pointer_mut(&format!("/components/schemas/{name}")) {
        schema.remove("additionalProperties");
    }
}

#[cfg(test)]
mod tests {
    use utoipa::openapi::OpenApiBuilder;
    use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, SchemaType, Type};

    use super::*;

    fn text() -> ObjectBuilder {
        ObjectBuilder::new().schema_type(Type::String)
    }

    /// A document with these schemas, and what it says of the keys that each does not list.
    fn beside(schemas: Vec<(&str, ObjectBuilder)>) -> Vec<(String, Value)> {
        let mut api = OpenApiBuilder::new().build();
        let components = api.components.get_or_insert_default();
        for (name, schema) in schemas {
            components.schemas.insert(name.to_owned(), schema.into());
        }
        let document = document(&api);
        let schemas = document["components"]["schemas"].as_object().unwrap();
        schemas.iter().map(|(name, schema)| (name.clone(), schema["additionalProperties"].clone())).collect()
    }

    #[test]
    fn an_object_has_the_keys_that_it_lists_and_no_other() {
        let object = || ObjectBuilder::new().property("name", text());
        let or_null = SchemaType::from_iter([Type::Object, Type::Null]);
        let of_texts = AdditionalProperties::<utoipa::openapi::schema::Schema>::from(text());
        let schemas = vec![
            ("Listed", object()),
            ("ListedOrNull", object().schema_type(or_null)),
            ("OfTexts", ObjectBuilder::new().additional_properties(Some(of_texts))),
            ("Anything", ObjectBuilder::new()),
            ("Text", text()),
            (OPEN[0], object()),
        ];
        let closed = |name: &str| (name.to_owned(), json!(false));
        let open = |name: &str| (name.to_owned(), Value::Null);
        let mut told = beside(schemas);
        told.sort_by(|(one, _), (other, _)| one.cmp(other));
        assert_eq!(
            told,
            [
                open("AccountStanding"),
                open("Anything"),
                closed("Listed"),
                closed("ListedOrNull"),
                ("OfTexts".to_owned(), json!({"type": "string"})),
                open("Text"),
            ]
        );
    }

    #[test]
    fn objects_inside_objects_are_closed_too() {
        let inner = ObjectBuilder::new().property("name", text());
        let mut api = OpenApiBuilder::new().build();
        let components = api.components.get_or_insert_default();
        // A property that is named like a keyword is a property.
        let outer = ObjectBuilder::new().property("type", text()).property("properties", inner);
        components.schemas.insert("Outer".to_owned(), outer.into());
        let document = document(&api);
        let outer = &document["components"]["schemas"]["Outer"];
        assert_eq!(outer["additionalProperties"], json!(false));
        assert_eq!(outer["properties"]["properties"]["additionalProperties"], json!(false));
        assert_eq!(outer["properties"].get("additionalProperties"), None);
    }

    #[test]
    fn the_open_objects_are_there() {
        let documents = [crate::openapi_v1(), crate::openapi_v2()];
        for name in OPEN {
            let found = documents.iter().filter(|one| one["components"]["schemas"][name].is_object());
            assert_eq!(found.count(), 1, "{name}");
        }
    }

    #[test]
    fn the_head_says_what_and_where() {
        let document = document(&head());
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(document["servers"], json!([{"url": "/v1"}]));
        assert_eq!(
            document["components"]["securitySchemes"],
            json!({"BearerAuth": {"type": "http", "scheme": "bearer"}})
        );
    }
}
