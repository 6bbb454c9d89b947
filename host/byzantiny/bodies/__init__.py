"""What executes a client: the body protocol, its NumPy implementation, and the way to the others."""
