//! How the formats fare against each other, against documents of others, and against Prometheus itself.

mod speed;
