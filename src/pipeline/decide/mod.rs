//! The decision: policy in code.
