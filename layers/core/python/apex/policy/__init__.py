"""Which steps may run: risk lanes, as pure functions."""
