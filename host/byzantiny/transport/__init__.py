"""Transports: memory, MQTT, serial; and the fault injector that wraps any of them."""
