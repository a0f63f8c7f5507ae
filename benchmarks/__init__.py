"""Benchmarks of orchestra-memory; `python -m benchmarks` runs them."""
