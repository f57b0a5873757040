//! Terminals as values.
