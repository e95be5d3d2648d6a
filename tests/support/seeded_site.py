"""Sites whose trainer is the real one but for the model: quick, and the same at every try.

An update depends on the site, the round and the adapter it starts from, and on nothing else, so
that a whole run can be worked out again from who took part. Socket, policy, ledger and logs are the
real ones. Every tuning that begins is noted in logs/tuned.jsonl before its first step.

    python seeded_site.py --site DIR
"""

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import plans
from ophora_client.site import Site, init_site
from ophora_client.site_rounds import open_rounds
from ophora_client.trainer import TrainerService, serve
from ophora_client.trainer_wire import socket_path
from ophora_client.tuner import Tuned
from ophora_deploy.federation import LocalSite
from ophora_model.adapter_spec import AdapterSpec
from ophora_model.errors import Cancelled
from ophora_model.round_plan import RoundPlan
from ophora_model.update import Shapes, Tensors
from ophora_privacy.plan import PrivacyPlan
from ophora_server.federation_settings import FederationSettings
from ophora_server.one_round import BaseFacts
from ophora_server.run_folder import RunFolder

TRAINER = (sys.executable, str(Path(__file__).resolve()))
# of a whole soak's spending, which the ledger adds up; the tuner adds no noise
PRIVACY = replace(plans.PRIVACY, noise_multiplier=4.0, steps_per_round=1)
_FACTS, _TUNED = "seeded.json", "tuned.jsonl"


def make_seeded_site(folder: Path, code: str, base: BaseFacts, *, tune_s: float) -> LocalSite:
    """A site of this code that tunes for `tune_s` seconds."""
    site = init_site(folder, code=code, profile={"privacy": {"epsilon_cap": 1e6}})
    facts = {"base": base.fingerprint, "shapes": base.shapes, "tune_s": tune_s}
    (site.folder / _FACTS).write_text(json.dumps(facts))
    return LocalSite(code=code, folder=folder, trainer=TRAINER)


def make_seeded_run(folder: Path, rounds: int, **quorum: Any) -> RunFolder:
    """A run of so many rounds, not started."""
    folder.mkdir(parents=True, exist_ok=True)
    run = RunFolder(path=folder)
    seeded_settings(rounds, **quorum).write(run.settings_file)
    return run


def seeded_settings(rounds: int, **quorum: Any) -> FederationSettings:
    """What such a run asks for."""
    return plans.make_federation(plans.make_stage("tpt", rounds, PRIVACY), **quorum)


def seeded_update(site: str, round: int, start: Tensors) -> dict[str, NDArray[np.float32]]:
    """Half the way from the start to a point of the site's and the round's own."""
    update = {}
    for name, tensor in sorted(start.items()):
        seed = hashlib.sha256(f"{site} {round} {name}".encode()).digest()[:8]
        rng = np.random.default_rng(int.from_bytes(seed, "big"))
        aim = rng.standard_normal(tensor.shape, np.float32)
        update[name] = (aim - tensor) * np.float32(0.5)
    return update


def tuned_rounds(folder: Path) -> list[int]:
    """The rounds of all tunings that began, in their order."""
    path = folder / "logs" / _TUNED
    lines = path.read_text().splitlines() if path.exists() else []
    return [int(json.loads(line)["round"]) for line in lines]


class SeededTuner:
    """A tuner for the site in `folder`."""

    def __init__(self, folder: Path) -> None:
        facts: Mapping[str, Any] = json.loads((folder / _FACTS).read_text())
        self.base_fingerprint = str(facts["base"])
        self._shapes: Shapes = {name: tuple(shape) for name, shape in facts["shapes"].items()}
        self._tune_s = float(facts["tune_s"])
        self._code = Site.open(folder).settings.site.code
        self._log = folder / "logs" / _TUNED

    def shapes(self, spec: AdapterSpec) -> Shapes:
        return self._shapes

    def num_clips(self, stage: str) -> int:
        return 1

    def tune(
        self,
        plan: RoundPlan,
        privacy: PrivacyPlan,
        start: Tensors,
        *,
        on_step: Callable[[int, int, float], None],
        cancelled: Callable[[], bool],
    ) -> Tuned:
        self._note(plan.round)
        deadline = time.monotonic() + self._tune_s
        while time.monotonic() < deadline:
            if cancelled():
                raise Cancelled("stopped")
            time.sleep(0.05)
        on_step(1, 1, 0.5)
        update = seeded_update(self._code, plan.round, start)
        return Tuned(update=update, losses=(0.5,), steps=1, seconds=self._tune_s)

    def tune_patients(self, *_: Any, **__: Any) -> Tuned:
        raise AssertionError("no round of these has distributed noise")

    def _note(self, round: int) -> None:
        with self._log.open("a") as file:
            file.write(json.dumps({"round": round}) + "\n")
            file.flush()
            os.fsync(file.fileno())


def main() -> None:
    """Serve as the trainer of a site until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--site", type=Path, required=True)
    site: Path = parser.parse_args().site
    os.umask(0o077)
    serve(TrainerService(open_rounds(site, SeededTuner(site))), socket_path(site))


if __name__ == "__main__":
    main()
