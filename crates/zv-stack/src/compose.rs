//! Compose: the names of its labels, and what its files say of each service.
