"""Evaluation: completions of a benchmark by a model, and their scores from the completions alone."""
