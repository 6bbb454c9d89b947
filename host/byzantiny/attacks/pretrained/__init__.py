"""The model that training begins with, handed over by the adversary."""
