"""What every board must do, as pytest tests: `pytest --board NAME --pyargs byzantiny_hil.conformance`."""
