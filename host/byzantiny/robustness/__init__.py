"""What a bound means: how far lies can move a rule, found by search, beside what theory declares."""
