"""What a sweep's results say: metrics and statistics as pure functions of records, read from files alone (docs/metrics.md)."""
