//! Rules across sections.
