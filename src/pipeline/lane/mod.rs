//! One event a time per ticket.
