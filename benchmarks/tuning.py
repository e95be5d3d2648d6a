"""Measure training against its goals: a step, the common recipe, resumption, quality.

    python benchmarks/tuning.py [--quick] [--check] [--json FILE] [--only PART,...] [--seed 7]

The real architecture of the full-size base is benchmarks/real_architecture.py, generation is
benchmarks/sampling.py.
"""

import sys

from parts import run_parts

PARTS = ("steps", "recipe", "resume", "quality")

if __name__ == "__main__":
    sys.exit(run_parts(__doc__, package="tuning_parts", parts=PARTS))
