"""Where rows come from: the synthetic world, benchmarks and datasets, written as JSON Lines in one format."""
