//! Forged tokens, keys that end, and rows that appear once.
