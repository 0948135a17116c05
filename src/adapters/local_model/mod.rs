//! local_model
