"""Networks, tasks, fixed-point arithmetic and its NumPy reference."""
