//! The simulator over the wire.
