"""chord: a replication of CHORD (arXiv 2508.11408) with seeds, intervals and provenance in every cell."""

__version__ = "0.2.0"
