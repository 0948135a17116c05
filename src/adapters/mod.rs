//! HANDS: implementations of ports; none knows another.

pub mod embedded_log;
pub mod kafka;
pub mod local_model;
pub mod memory;
pub mod openai;
pub mod postgres;
pub mod schema_registry;
pub mod sqlite;
