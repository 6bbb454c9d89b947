"""The firmware: builds it, loads it, sizes it."""
