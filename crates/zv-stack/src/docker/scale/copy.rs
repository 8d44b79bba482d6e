//! Makes the configuration of a new replica out of the inspection of another.

use serde_json::{Map, Value, json};

use crate::compose::label;

/// What the engine is to make.
#[derive(Debug, PartialEq)]
pub(super) struct Copy {
    pub(super) name: String,
    /// The body of the request that creates it.
    pub(super) body: Value,
    /// Networks to connect before it starts, and how.
    pub(super) networks: Vec<(String, Value)>,
}

/// Copies `template` under another number; fails with a reason where a second of its kind cannot be.
pub(super) fn of(template: &Value, number: u32) -> Result<Copy, String> {
    let text = |pointer: &str| template.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (id, old_name) = (text("/Id"), text("/Name").trim_start_matches('/'));
    let old_number = template["Config"]["Labels"][label::NUMBER].as_str().unwrap_or("1");
    let name = renumber(old_name, old_number, number).ok_or_else(|| {
        format!(
            "its container has the fixed name `{old_name}`: take `container_name` out of the compose file"
        )
    })?;
    let mut body = object(&template["Config"]);
    let host = host_config(template, &mut body);
    if text("/Config/Hostname") == short(id) {
        body.remove("Hostname");
    }
    body.remove("MacAddress");
    let labels = body.entry("Labels").or_insert_with(|| json!({}));
    labels[label::NUMBER] = Value::from(number.to_string());
    if let Some(labels) = labels.as_object_mut() {
        labels.remove(label::REPLACE);
    }
    let mut networks = networks(template, old_name, &name, id);
    let mode = host.get("NetworkMode").and_then(Value::as_str).unwrap_or_default();
    if let Some(first) = networks.iter().position(|network| network.is(mode)) {
        let first = networks.remove(first);
        body.insert("NetworkingConfig".into(), json!({"EndpointsConfig": {first.name: first.endpoint}}));
    } else if !is_user_defined(mode) {
        // Only a network that Compose made gives names to its containers; the engine sets the rest up by itself.
        networks.clear();
    }
    body.insert("HostConfig".into(), Value::Object(host));
    let networks = networks.into_iter().map(|network| (network.name, network.endpoint)).collect();
    Ok(Copy { name, body: Value::Object(body), networks })
}

/// Puts another number at the end of a name that ends in its own: `shop-api-1`, `shop_api_1`.
fn renumber(name: &str, old: &str, new: u32) -> Option<String> {
    let stem = name.strip_suffix(old)?;
    stem.ends_with(['-', '_']).then(|| format!("{stem}{new}"))
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// Volumes without a name have one after all, of 64 hexadecimal digits.
fn is_nameless(volume: &str) -> bool {
    volume.len() == 64 && volume.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Copies the host's part; nameless volumes that another container left to this one become new ones.
fn host_config(template: &Value, body: &mut Map<String, Value>) -> Map<String, Value> {
    let mut host = object(&template["HostConfig"]);
    host.remove("ContainerIDFile");
    if let Some(mounts) = host.get_mut("Mounts").and_then(Value::as_array_mut) {
        for mount in mounts.iter_mut().filter_map(Value::as_object_mut) {
            if mount.get("Source").and_then(Value::as_str).is_some_and(is_nameless) {
                mount.remove("Source");
            }
        }
    }
    let mut nameless = Vec::new();
    if let Some(binds) = host.get_mut("Binds").and_then(Value::as_array_mut) {
        binds.retain(|bind| {
            let mut parts = bind.as_str().unwrap_or_default().split(':');
            match (parts.next(), parts.next()) {
                (Some(volume), Some(target)) if is_nameless(volume) => {
                    nameless.push(target.to_owned());
                    false
                }
                _ => true,
            }
        });
    }
    if !nameless.is_empty() {
        let mut volumes = object(body.get("Volumes").unwrap_or(&Value::Null));
        volumes.extend(nameless.into_iter().map(|target| (target, json!({}))));
        body.insert("Volumes".into(), Value::Object(volumes));
    }
    host
}

fn is_user_defined(mode: &str) -> bool {
    !matches!(mode, "" | "default" | "bridge" | "host" | "none")
        && !mode.starts_with("container:")
        && !mode.starts_with("ns:")
}

struct Network {
    name: String,
    id: String,
    endpoint: Value,
}

impl Network {
    /// Says whether a network mode means this network.
    fn is(&self, mode: &str) -> bool {
        is_user_defined(mode) && (mode == self.name || mode == self.id)
    }
}

/// Copies the networks with their names for the container, but without its addresses.
fn networks(template: &Value, old_name: &str, name: &str, id: &str) -> Vec<Network> {
    let networks = object(&template["NetworkSettings"]["Networks"]);
    let copied = networks.into_iter().map(|(network, settings)| {
        let mut endpoint = Map::new();
        for kept in ["Links", "DriverOpts", "GwPriority"] {
            if let Some(value) = settings.get(kept).filter(|value| !value.is_null()) {
                endpoint.insert(kept.into(), value.clone());
            }
        }
        let aliases: Vec<_> = settings["Aliases"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .filter(|alias| *alias != short(id))
            .map(|alias| if alias == old_name { name } else { alias })
            .collect();
        endpoint.insert("Aliases".into(), json!(aliases));
        let id = settings["NetworkID"].as_str().unwrap_or_default().to_owned();
        Network { name: network, id, endpoint: Value::Object(endpoint) }
    });
    copied.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn template() -> Value {
        json!({
            "Id": ID, "Name": "/shop-api-1", "Image": "sha256:1",
            "Config": {
                "Image": "api:1", "Env": ["A=b"], "Cmd": ["serve"], "Hostname": "0123456789ab",
                "MacAddress": "02:42:ac:11:00:02", "Volumes": {"/cache": {}},
                "Labels": {"com.docker.compose.container-number": "1", "com.docker.compose.config-hash": "h",
                           "com.docker.compose.replace": "old"}
            },
            "HostConfig": {
                "NetworkMode": "shop_default", "ContainerIDFile": "/x", "Memory": 5, "SomethingNew": true,
                "Binds": [format!("{ID}:/data:rw"), "shop_db:/db:rw", "/etc/x:/etc/x:ro"],
                "Mounts": [{"Type": "volume", "Source": ID, "Target": "/tmp"}]
            },
            "NetworkSettings": {"Networks": {
                "shop_back": {"Aliases": ["api"], "NetworkID": "n2", "DriverOpts": {"a": "b"}},
                "shop_default": {"Aliases": ["shop-api-1", "api", "0123456789ab"], "NetworkID": "n1",
                                 "IPAddress": "172.18.0.2", "IPAMConfig": {"IPv4Address": "172.18.0.2"},
                                 "MacAddress": "02:42:ac:12:00:02"}
            }}
        })
    }

    #[test]
    fn a_copy_has_its_own_number_name_and_addresses() {
        let copy = of(&template(), 7).unwrap();
        assert_eq!(copy.name, "shop-api-7");
        let labels = &copy.body["Labels"];
        assert_eq!(labels[label::NUMBER], "7");
        assert_eq!((&labels[label::CONFIG_HASH], labels.get(label::REPLACE)), (&json!("h"), None));
        let first = json!({"EndpointsConfig": {"shop_default": {"Aliases": ["shop-api-7", "api"]}}});
        assert_eq!(copy.body["NetworkingConfig"], first);
        let back = json!({"Aliases": ["api"], "DriverOpts": {"a": "b"}});
        assert_eq!(copy.networks, [("shop_back".to_owned(), back)]);
        assert_eq!((copy.body.get("Hostname"), copy.body.get("MacAddress")), (None, None));
        assert_eq!(copy.body["HostConfig"]["SomethingNew"], true);
        assert_eq!(copy.body["Env"], json!(["A=b"]));
    }

    #[test]
    fn nameless_volumes_are_not_shared() {
        let copy = of(&template(), 2).unwrap();
        let host = &copy.body["HostConfig"];
        assert_eq!(host["Binds"], json!(["shop_db:/db:rw", "/etc/x:/etc/x:ro"]));
        assert_eq!(host["Mounts"], json!([{"Type": "volume", "Target": "/tmp"}]));
        assert_eq!(copy.body["Volumes"], json!({"/cache": {}, "/data": {}}));
    }

    #[test]
    fn a_network_of_the_host_is_not_described() {
        for mode in ["host", "none", "bridge", "default", "container:abc"] {
            let mut template = template();
            template["HostConfig"]["NetworkMode"] = mode.into();
            let copy = of(&template, 2).unwrap();
            assert_eq!((copy.body.get("NetworkingConfig"), copy.networks), (None, vec![]), "{mode}");
        }
    }

    #[test]
    fn names_keep_the_way_of_their_siblings() {
        assert_eq!(renumber("shop_api_1", "1", 2).as_deref(), Some("shop_api_2"));
        assert_eq!(renumber("shop-api-11", "11", 12).as_deref(), Some("shop-api-12"));
        assert_eq!(renumber("api", "1", 2), None);
        assert_eq!(renumber("api1", "1", 2), None);
    }

    #[test]
    fn a_fixed_name_is_refused_with_what_to_do() {
        let mut template = template();
        template["Name"] = "/api".into();
        assert!(of(&template, 2).unwrap_err().contains("container_name"));
    }
}
