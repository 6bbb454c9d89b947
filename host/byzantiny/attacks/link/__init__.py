"""Attacks on the way up: whoever holds a client's link drops, delays, cuts or invents frames."""
