"""The C kernels with the signatures of their NumPy twins in `reference`, one module per family."""
