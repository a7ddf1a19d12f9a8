"""Files, parquet, locks, provenance, seeds: what every room needs to read and write results that can be trusted."""
