//! Builds the agent from its configuration and runs it until it is told to stop.
