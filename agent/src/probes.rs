//! Probes on a schedule: those of the configuration, and those that labels of replicas ask for.
