//! The integration tests: the real service on real sockets, the outside world by wire only.

mod harness;
mod live_doors;
mod tidy;
