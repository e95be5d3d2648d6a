"""What answers for simulated sites in one process of the runtime: one base, any number of sites.

    message -> node id -> site code -> the site's folder -> the answers of a real site
                                                         -> LocalRounds: policy, ledger, tuning

Behind the site's answers stands a trainer in this process, where a real site has a resident one
behind a socket. Sites are opened for one message and forgotten.
"""

from __future__ import annotations

import math
import shutil
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from flwr.app import Message

from ophora_client.answers import SiteAnswers, Trainer
from ophora_client.errors import Declined
from ophora_client.local_round import LocalRounds
from ophora_client.site import init_site
from ophora_client.site_rounds import open_rounds
from ophora_client.trainer_channel import TrainerReply
from ophora_client.tunable_base import TunableBase
from ophora_deploy.simulation.plan import SimulationPlan
from ophora_deploy.simulation.random_site import random_answer
from ophora_deploy.simulation.tuner import SimulatedTuner
from ophora_model.update import Tensors
from ophora_server.federation_settings import FederationSettings
from ophora_server.run_folder import RunFolder

CLIPS = "clips"
SITES = "simulated-sites"


class TunedSites:
    """Answers for sites that tune."""

    def __init__(self, run: RunFolder, plan: SimulationPlan, settings: FederationSettings) -> None:
        self._run, self._plan, self._settings = run, plan, settings
        base_folder = Path(settings.base_folder) if settings.base_folder else None
        self._tunable = TunableBase(settings.preset, base_folder)

    def answer(self, message: Message) -> Message:
        """As the site that the message is for."""
        code = self._run.site_codes()[message.metadata.dst_node_id]
        folder = self._run.path / SITES / code
        _make_site(folder, code, self._settings)
        tuner = SimulatedTuner(
            self._tunable, self._plan, self._plan.number(code), self._run.path / CLIPS
        )

        def trainer(site: Path) -> AbstractContextManager[Trainer]:
            return nullcontext(_TrainerHere(open_rounds(site, tuner)))

        return SiteAnswers(folder=lambda: folder, trainer=trainer).train(message)


class RandomSites:
    """Answers for sites that don't tune."""

    def __init__(self, run: RunFolder, plan: SimulationPlan) -> None:
        self._run, self._plan = run, plan

    def answer(self, message: Message) -> Message:
        """A random update of the site that the message is for."""
        code = self._run.site_codes()[message.metadata.dst_node_id]
        return random_answer(message, code, seed=self._plan.seed)


class _TrainerHere:
    """The trainer of one site in this process, for one message."""

    def __init__(self, rounds: LocalRounds) -> None:
        self._rounds = rounds

    def tune(
        self,
        plan: str,
        start: Tensors,
        *,
        timeout_s: float,
        attempt: str = "",
        receipt: str = "",
    ) -> TrainerReply:
        """One round; a secure sum was refused before the simulation began."""
        deadline = time.monotonic() + timeout_s
        result = self._rounds.run(
            plan, start, cancelled=lambda: time.monotonic() > deadline, receipt=receipt
        )
        return TrainerReply(
            tensors=result.update, metrics=dict(result.metrics), receipt=result.receipt
        )

    def exchange(self, attempt: str, exchange: str, message: bytes, *, timeout_s: float) -> bytes:
        """There is none."""
        raise Declined("secure-sum", "simulated sites have no secure sum")


def _make_site(folder: Path, code: str, settings: FederationSettings) -> None:
    """A site's folder with a key and a ledger, there whole or not at all."""
    if folder.exists():
        return
    part = folder.with_name(f".{code}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a worker that was killed
    delta = max(stage.privacy.delta for stage in settings.stages)
    profile: dict[str, dict[str, Any]] = {
        # phantoms have no budget to protect, and what they cost and lose is what is studied
        "privacy": {"epsilon_cap": math.inf, "delta": delta, "share_loss": True},
        "model": {"preset": settings.preset, "base_folder": settings.base_folder},
    }
    init_site(part, code=code, profile=profile)
    part.rename(folder)
