//! Rooms on a real Redis.
