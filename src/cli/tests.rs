//! What each command prints and how it exits.
