"""The parts of benchmarks/privacy.py, one file each."""
