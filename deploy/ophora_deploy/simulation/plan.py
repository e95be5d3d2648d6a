"""What is simulated: how many sites, which clips they have, and whether they tune on them.

    SimulationPlan -> OUT/simulation.json -> the runtime and its workers

A folder holds one simulation: what its finished rounds depend on can't change under them.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from ophora_deploy.errors import SimulationRefused
from ophora_model.draft import write_whole

PARTITIONS = ("iid", "by-phase", "by-size")
MOST_SITES = 10_000  # that a quorum may expect
_FILE = "simulation.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationPlan:
    """Sites and their clips. Raises SimulationRefused.

    `partition` says how the sites differ, `alpha` how much: the concentration of the Dirichlet
    distribution, the smaller the more unequal. `patients` is a site's number of patients, or its
    mean where sizes differ; each has `clips_each` clips, of which `overlay_share` show a harmless
    overlay and are left out of P2FT. Without `tuning` a site answers with a random update.
    """

    sites: int
    partition: str = "iid"
    alpha: float = 0.5
    patients: int = 4
    clips_each: int = 4
    overlay_share: float = 0.25
    seed: int = 1
    tuning: bool = True

    def __post_init__(self) -> None:
        if self.partition not in PARTITIONS:
            raise SimulationRefused(
                f'partition="{self.partition}": must be one of {", ".join(PARTITIONS)}'
            )
        _require("sites", self.sites, 1 <= self.sites <= MOST_SITES, f"1 to {MOST_SITES}")
        # below, numpy's gamma draws are all zero; above, sites hardly differ
        _require("alpha", self.alpha, 0.01 <= self.alpha <= 1000, "0.01 to 1000")
        _require("patients", self.patients, 1 <= self.patients <= 1000, "1 to 1000")
        _require("clips_each", self.clips_each, 1 <= self.clips_each <= 100, "1 to 100")
        _require("seed", self.seed, self.seed >= 0, ">= 0")
        share = self.overlay_share
        _require("overlay_share", share, math.isfinite(share) and 0 <= share <= 1, "0 to 1")

    def code(self, number: int) -> str:
        """Of site `number`, counted from 0, as the coordinator knows it."""
        return f"site-{number + 1:04d}"

    def number(self, code: str) -> int:
        """The reverse of `code`."""
        return int(code.removeprefix("site-")) - 1

    @classmethod
    def read(cls, folder: Path) -> SimulationPlan | None:
        """What this folder simulates; None where nothing was begun."""
        path = folder / _FILE
        if not path.exists():
            return None
        try:
            return cls(**json.loads(path.read_text(encoding="ascii")))
        except (ValueError, TypeError) as error:
            raise SimulationRefused(f"{path}: can't be read; name another folder") from error

    def claim(self, folder: Path) -> None:
        """Write it into the folder, once. Raises SimulationRefused where another was begun."""
        begun = SimulationPlan.read(folder)
        if begun is not None:
            was, now = asdict(begun), asdict(self)
            changed = [f"{name}={was[name]}" for name in was if was[name] != now[name]]
            if changed:
                raise SimulationRefused(
                    f"{folder}: was begun with {', '.join(changed)}; go on with that, or name"
                    " another folder"
                )
            return
        if folder.exists() and any(folder.iterdir()):
            raise SimulationRefused(f"{folder}: holds something else; name another folder")
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / _FILE, json.dumps(asdict(self)).encode())


def _require(name: str, value: float, ok: bool, allowed: str) -> None:
    if not ok:
        raise SimulationRefused(f"{name}={value}: must be {allowed}")
