"""What all sites of one secure sum agree on before it starts: one frozen value and its tag.

Data path: the coordinator announces it in the round plan; each site compares it with its policy,
its roster and the training plan, and makes its half of the protocol from it. Every message carries
the tag, so that one of another round, plan or roster is refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ophora_privacy.errors import InvalidPlan
from ophora_privacy.secure_sum.fixed_point import FixedPoint
from ophora_privacy.secure_sum.graph import threshold_of
from ophora_privacy.secure_sum.layout import Layout

FEWEST_SITES = 3  # of two, each would learn the other's update from the sum

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureSumPlan:
    """One secure sum of float32 tensors.

    `round_id` is new in every attempt at every round. `roster_digest` is `Roster.digest`.
    `min_sites` is the fewest whose sum may be revealed, at least 3. `neighbours` is how many each
    site shares its secrets with: all others where it is not below their number, else even
    (`graph.smallest_degree` proposes it). `context` is a digest of what else the round agreed on,
    such as the training and noise plans; "" for nothing. Raises InvalidPlan.
    """

    round_id: str
    layout: Layout
    grid: FixedPoint
    min_sites: int
    neighbours: int
    roster_digest: str
    context: str = ""

    def __post_init__(self) -> None:
        if type(self.round_id) is not str or not 1 <= len(self.round_id) <= 200:
            raise InvalidPlan("round_id: must be a text of 1 to 200 characters")
        most = self.grid.max_sites
        if type(self.min_sites) is not int or not FEWEST_SITES <= self.min_sites <= most:
            raise InvalidPlan(
                f"min_sites={self.min_sites!r}: must be from {FEWEST_SITES} to max_sites={most}"
            )
        odd = type(self.neighbours) is not int or self.neighbours < 2 or self.neighbours % 2
        if odd and self.neighbours != most - 1:
            raise InvalidPlan(
                f"neighbours={self.neighbours!r}: must be even and >= 2, or {most - 1} for all"
            )
        if not _DIGEST.fullmatch(self.roster_digest):
            raise InvalidPlan("roster_digest: must be 64 hexadecimal digits")
        if self.context and not _DIGEST.fullmatch(self.context):
            raise InvalidPlan("context: must be empty or 64 hexadecimal digits")

    @property
    def tolerated_colluders(self) -> int:
        """Sites that may pool all they hold with a coordinator that follows the protocol.

        One fewer than the threshold of the smallest round: their shares of a secret tell nothing.
        """
        return self.threshold(self.min_sites) - 1

    @property
    def tolerated_liars(self) -> int:
        """Sites that may side with a coordinator that also lies about who has dropped out.

        An honest neighbour answers for one list of survivors only, so both secrets of a site take
        2 * threshold answers out of neighbours + liars. The least over all allowed round sizes.
        """
        degrees = {min(self.neighbours, n - 1) for n in range(self.min_sites, self._most + 1)}
        return min(2 * threshold_of(degree) - degree - 1 for degree in degrees)

    @property
    def _most(self) -> int:
        return self.grid.max_sites

    def threshold(self, sites: int) -> int:
        """Shares that rebuild a secret in a round of `sites`."""
        return threshold_of(min(self.neighbours, sites - 1))

    def tag(self) -> bytes:
        """32 bytes that stand for the whole plan in every message and key."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(b"ophora secure sum 1\n" + text.encode()).digest()

    def to_dict(self) -> dict[str, Any]:
        """A dict that JSON can hold."""
        return {
            "round_id": self.round_id,
            "layout": [[name, list(shape)] for name, shape in self.layout.tensors],
            "bound": self.grid.bound,
            "max_sites": self.grid.max_sites,
            "noise_std": self.grid.noise_std,
            "min_sites": self.min_sites,
            "neighbours": self.neighbours,
            "roster_digest": self.roster_digest,
            "context": self.context,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SecureSumPlan:
        """The inverse of `to_dict`; an unknown or missing key is refused by name."""
        grid_keys = {field.name for field in fields(FixedPoint)}
        known = {field.name for field in fields(cls)} - {"grid"} | grid_keys
        for key in sorted(set(values) ^ known):
            what = "missing from" if key in known else "unknown key in"
            raise InvalidPlan(f"{key}: {what} the plan of the secure sum")
        rest = {key: values[key] for key in known - grid_keys - {"layout"}}
        try:
            tensors = tuple((str(name), tuple(shape)) for name, shape in values["layout"])
        except (TypeError, ValueError) as error:
            raise InvalidPlan("layout: must be a list of names with their shapes") from error
        grid = FixedPoint(**{key: values[key] for key in grid_keys})
        return cls(layout=Layout(tensors=tensors), grid=grid, **rest)
