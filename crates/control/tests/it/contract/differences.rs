//! Where two normal forms differ, a line for each place.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// The differences, each as `place: what the contract says, what ours says`.
pub fn differences(contract: &Value, ours: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare(&mut Vec::new(), Some(contract), Some(ours), &mut found);
    found
}

fn compare(place: &mut Vec<String>, contract: Option<&Value>, ours: Option<&Value>, found: &mut Vec<String>) {
    match (contract, ours) {
        (Some(contract), Some(ours)) if contract == ours => {}
        (Some(Value::Object(contract)), Some(Value::Object(ours))) => {
            compare_objects(place, contract, ours, found);
        }
        (Some(Value::Array(contract)), Some(Value::Array(ours)))
            if contract.len() == 1 && ours.len() == 1 && contract[0].is_object() && ours[0].is_object() =>
        {
            compare(place, contract.first(), ours.first(), found);
        }
        _ => {
            let said = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
            found.push(format!("{}: contract {}, ours {}", place.join("."), said(contract), said(ours)));
        }
    }
}

fn compare_objects(
    place: &mut Vec<String>,
    contract: &Map<String, Value>,
    ours: &Map<String, Value>,
    found: &mut Vec<String>,
) {
    let keys: BTreeSet<&String> = contract.keys().chain(ours.keys()).collect();
    for key in keys {
        place.push(key.clone());
        compare(place, contract.get(key), ours.get(key), found);
        place.pop();
    }
}

#[test]
fn each_place_is_a_line() {
    use serde_json::json;
    let contract = json!({"a": {"string": [{"enum": ["x"]}]}, "b": 1, "c": [1]});
    let ours = json!({"a": {"string": [{"enum": ["y"]}]}, "c": [1], "d": null});
    assert_eq!(
        differences(&contract, &ours),
        [
            r#"a.string.enum: contract ["x"], ours ["y"]"#,
            "b: contract 1, ours nothing",
            "d: contract nothing, ours null",
        ]
    );
    assert_eq!(differences(&contract, &contract), [""; 0]);
}
