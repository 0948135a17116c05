//! Finished offsets of a partition, and their codec.
