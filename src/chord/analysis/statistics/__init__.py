"""Intervals and tests for seeds x questions, and the simulations that say how far to trust them."""
