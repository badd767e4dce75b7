//! The limiter against a real Redis: the two versions of its arithmetic, and what it costs.
