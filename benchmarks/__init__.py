"""How fast a saga is on the local cloud, what it consumes, and where the time goes: ``python -m benchmarks``."""
