"""Tests of the battery's own parts: a fault that does not happen proves nothing."""
