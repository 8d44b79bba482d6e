//! Layers of a configuration: what a stronger one says replaces what a weaker one said.

use serde_json::{Map, Value};

use super::mistake::{Collector, Place};
use super::schema::schema;
use super::tree::Node;
use super::walk::{self, Walked};

/// Lays a stronger layer over what is known so far.
pub(crate) fn lay_over(merged: &mut Walked, layer: &Node, found: &mut Collector) {
    let layer = walk::walk(schema(), layer, found);
    let docker = |key: &str| layer.places.contains_key(&format!("stack.docker.{key}"));
    if docker("host") || docker("context") {
        // Another engine: what a file said of how to reach the first one does not hold for it. Certificates named by
        // a variable do, as for the docker command.
        let places = &mut merged.places;
        let by_variable = matches!(places.get("stack.docker.cert_dir"), Some(Place::Variable(_)));
        let stays = |key: &str| key == "cert_dir" && by_variable;
        places.retain(|key, _| key.strip_prefix("stack.docker.").is_none_or(stays));
        let docker = merged.value.get_mut("stack").and_then(|stack| stack.get_mut("docker"));
        if let Some(Value::Object(docker)) = docker {
            docker.retain(|key, _| stays(key));
        }
    }
    for (key, place) in layer.places {
        if place == Place::Default {
            // A mapping on the way to what the layer sets.
            continue;
        }
        // Items of a list that was replaced are gone with it.
        let items = format!("{key}[");
        merged.places.retain(|other, _| !other.starts_with(&items));
        merged.places.insert(key, place);
    }
    merge(&mut merged.value, layer.value);
}

fn merge(below: &mut Map<String, Value>, above: Map<String, Value>) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Object(below)), Value::Object(above)) => merge(below, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}
