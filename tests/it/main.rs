//! Integration tests, one binary: it links once.

mod log_contract;
