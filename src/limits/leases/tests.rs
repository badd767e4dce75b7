//! Leases of several replicas on a real Redis.
