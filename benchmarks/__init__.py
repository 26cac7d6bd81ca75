"""Measurements of the library against its peers; `python -m benchmarks.peers`."""
