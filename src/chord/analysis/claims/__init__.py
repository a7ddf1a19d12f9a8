"""The sentences of the paper as statistical tests with a verdict each."""
