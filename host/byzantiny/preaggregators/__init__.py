"""preaggregators."""
