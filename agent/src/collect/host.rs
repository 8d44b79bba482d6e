//! Measures the host, as node_exporter does.

use std::path::PathBuf;

use chrono::{DateTime, Utc};

#[derive(Debug, Clone)]
pub struct Roots(pub PathBuf);

#[derive(Debug)]
pub struct HostMeter;

#[derive(Debug, Clone, Default)]
pub struct HostMeasurement {
    pub at: DateTime<Utc>,
}

impl HostMeter {
    pub fn new(_: Roots) -> Self {
        Self
    }

    pub fn measure(&mut self, at: DateTime<Utc>) -> HostMeasurement {
        HostMeasurement { at }
    }
}

impl HostMeasurement {
    pub fn usage(&self, _before: Option<&Self>) -> zv_api::HostUsage {
        zv_api::HostUsage { at: self.at, ..Default::default() }
    }

    pub fn kernel(&self) -> Option<String> {
        None
    }
}
