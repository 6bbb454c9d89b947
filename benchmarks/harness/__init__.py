"""What `aggregation.py` is made of: inputs, clock, trials in a child, targets, tables."""
