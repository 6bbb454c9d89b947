"""Hardware in the loop: boards, real and emulated, as test targets."""
