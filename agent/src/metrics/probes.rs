//! The probes' metrics, by blackbox_exporter's names.
