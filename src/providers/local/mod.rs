//! The embedded speech engine.
