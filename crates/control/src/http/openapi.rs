//! The API's description, from the routes themselves.

use deckle_api::errors::ErrorBody;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

/// Answers of every operation that does not succeed.
#[derive(utoipa::IntoResponses)]
#[response(status = "default", description = "Error response")]
pub struct Failure(#[to_schema] pub ErrorBody);

#[derive(OpenApi)]
#[openapi(info(title = "Deckle: the v1 API", description = "Your own machines as a GPU cloud."), servers((url = "/v1")))]
struct Head;

/// The head of the document, that the routes are added to.
pub fn head() -> utoipa::openapi::OpenApi {
    let mut head = Head::openapi();
    env!("CARGO_PKG_VERSION").clone_into(&mut head.info.version);
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    let components = head.components.get_or_insert_default();
    components.add_security_scheme("BearerAuth", SecurityScheme::Http(bearer));
    head
}

/// The document as it is served: an object has the keys that it lists and no other.
pub fn document(api: &utoipa::openapi::OpenApi) -> Value {
    let mut document = serde_json::to_value(api).unwrap_or_default();
    close(&mut document);
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
    if is_object && object.contains_key("properties") {
        object.entry("additionalProperties").or_insert(json!(false));
    }
}
