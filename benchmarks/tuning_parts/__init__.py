"""The parts of benchmarks/tuning.py, one file each."""
