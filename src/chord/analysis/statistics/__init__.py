"""Intervals and tests for tables of seeds x questions, and the simulations that show how far to trust them."""
