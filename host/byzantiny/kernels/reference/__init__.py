"""Every kernel in NumPy: the oracle of the C ones, and the fallback. One module per family, as in `bindings`."""
