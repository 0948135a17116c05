//! embedded_log
