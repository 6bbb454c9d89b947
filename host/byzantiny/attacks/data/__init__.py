"""Attacks on an attacker's own data: its body trains on it as told, so every body can run them, firmware included."""
