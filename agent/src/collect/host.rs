//! Measures the host, as node_exporter does.
