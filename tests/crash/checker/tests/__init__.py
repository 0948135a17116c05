"""The checker's own tests: a checker that does not find a planted violation proves nothing."""
