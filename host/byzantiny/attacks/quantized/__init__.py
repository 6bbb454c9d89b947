"""Attacks that only int8 codes on a grid make possible."""
