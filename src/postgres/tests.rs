//! The schema over real databases, fresh and adopted.
