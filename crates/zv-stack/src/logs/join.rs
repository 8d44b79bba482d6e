//! Joins pieces of log into lines.
