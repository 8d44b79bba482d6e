//! The JSON schema of `zv.yaml`: what mistakes are found by, and what editors complete and explain keys with.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::api::ApiFile;
use super::collect::CollectFile;
use super::global::GlobalFile;
use super::log::LogFile;
use super::probes::ProbeFile;
use super::stack::StackFile;
use super::store::StoreFile;
use super::values::Span;

/// The configuration of the zv agent. Every key may be left out. `${NAME}` and `${NAME:-default}` in a value are
/// replaced from the environment; keys that start with `x-` are left to anchors.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "zv.yaml", extend("patternProperties" = { "^x-": {} }))]
pub(crate) struct File {
    pub(crate) global: Option<GlobalFile>,
    pub(crate) stack: Option<StackFile>,
    pub(crate) collect: Option<CollectFile>,
    pub(crate) store: Option<StoreFile>,
    pub(crate) api: Option<ApiFile>,
    /// What is asked from outside, besides what labels of containers ask for.
    pub(crate) probes: Option<Vec<ProbeFile>>,
    pub(crate) log: Option<LogFile>,
    /// How long a shutdown may take before what is left is cut off. Default: `10s`.
    pub(crate) shutdown_grace: Option<Span>,
}

static SCHEMA: LazyLock<Value> = LazyLock::new(|| schemars::schema_for!(File).to_value());

/// Returns the JSON schema of `zv.yaml`.
pub fn schema() -> &'static Value {
    &SCHEMA
}
