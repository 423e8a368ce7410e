"""Benchmarks: each prints a table with its own baseline beside it."""
