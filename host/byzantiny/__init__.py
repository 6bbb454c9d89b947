"""A federated-learning testbed for microcontrollers: the host side."""
