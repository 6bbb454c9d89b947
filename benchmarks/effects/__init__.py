"""What benchmarks/study_effects.py is made of."""
