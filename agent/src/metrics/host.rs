//! The host's metrics, by node_exporter's names.
