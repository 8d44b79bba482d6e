//! Follows one service across its replicas.
