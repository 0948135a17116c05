//! Decode, envelope, validate.
