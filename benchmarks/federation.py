"""Measure whole federations against their goals: many sites, outages, killed processes, bad links.

    python benchmarks/federation.py [--quick] [--check] [--json FILE] [--only PART,...] [--seed 7]

Every part makes its own run from the seed and prints its rows.
"""

import sys

from parts import run_parts

PARTS = ("scale", "outages", "soak", "network")

if __name__ == "__main__":
    sys.exit(run_parts(__doc__, package="federation_parts", parts=PARTS))
