"""Measure privacy against its goals: clipped steps, accounting, secure sums, audits, utility.

    python benchmarks/privacy.py [--quick] [--check] [--json FILE] [--only PART,...] [--seed 7]

Every part makes its own material from the seed and prints its rows.
"""

import sys

from parts import run_parts

PARTS = ("steps", "accounting", "secure_sum", "audit", "utility")

if __name__ == "__main__":
    sys.exit(run_parts(__doc__, package="privacy_parts", parts=PARTS))
