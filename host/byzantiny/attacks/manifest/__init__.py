"""Attacks on what an update says of itself: a Byzantine device with good keys uploads objects of its own making."""
