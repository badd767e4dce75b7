//! Acts that a client may ask for twice, and that are done and billed once.
