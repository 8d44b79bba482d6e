//! The host's metrics, by node_exporter's names.

use zv_wire::Exposition;

use crate::collect::host::HostMeasurement;

pub fn expose(_out: &mut Exposition, _host: &HostMeasurement) {}
