"""Benchmarks: `make bench` runs all of them and prints ratios against floors that were measured in the same run."""
