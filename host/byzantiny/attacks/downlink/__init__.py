"""A hijacked coordinator: whoever holds a client's link offers it rounds and models of its own."""
