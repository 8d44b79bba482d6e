//! The HTTP face: listeners, rights, routes.
