//! The committed schema is the one the code has.

use zv_agent::config::schema;

use super::is_blessing;

const COMMITTED: &str = "../docs/zv.schema.json";

#[test]
fn the_committed_schema_is_the_generated_one() {
    let generated = serde_json::to_string_pretty(schema()).unwrap() + "\n";
    if is_blessing() {
        std::fs::write(COMMITTED, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
    assert!(committed == generated, "docs/zv.schema.json is out of date; run the test with ZV_BLESS=1");
}

#[test]
fn every_key_is_explained() {
    fn undescribed(schema: &serde_json::Value, path: &str, missing: &mut Vec<String>) {
        for (key, value) in schema.get("properties").and_then(|p| p.as_object()).into_iter().flatten() {
            let path = format!("{path}.{key}");
            let described = value.get("description").is_some() || value.to_string().contains("$ref");
            if !described {
                missing.push(path);
            }
        }
        for (name, definition) in schema.get("$defs").and_then(|d| d.as_object()).into_iter().flatten() {
            if definition.get("description").is_none() {
                missing.push(name.clone());
            }
            undescribed(definition, name, missing);
        }
    }
    let mut missing = Vec::new();
    undescribed(schema(), "", &mut missing);
    assert_eq!(missing, Vec::<String>::new());
}
