"""What adding up the updates of twelve sites takes, with adapters of 118 MB.

The coordinator's own rounds, over a wire that makes one update at a time, in a process of its own:
the second of two rounds, in which the adapter that it sends is no longer all zeros.
"""

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from federation_parts.resident import ResidentMemory
from ophora_model.adapter import adapter_shapes
from ophora_model.adapter_spec import AdapterSpec
from ophora_model.base import empty_transformer
from ophora_model.presets import find_preset
from ophora_model.round_plan import RoundPlan, TuningPlan
from ophora_model.update import Tensors
from ophora_privacy.ledger_head import LedgerReceipt
from ophora_privacy.plan import PrivacyPlan
from ophora_server.federation_settings import FederationSettings, QuorumSettings, StageSettings
from ophora_server.one_round import BaseFacts
from ophora_server.rounds import run_rounds
from ophora_server.run_folder import RunFolder
from ophora_server.site_link import SiteReply

SITES = 12
PRESET = "cogvideox-2b"
RANK = 128  # 118 MB of trained factors in float32
_ROUNDS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LargeFigures:
    """Peaks over idle, in adapters of `size_mb`: until the last update was added, and over all."""

    size_mb: float
    aggregating: float
    whole_round: float


class _Enough(Exception):
    """The rounds that are measured are over."""


class OneAtATime:
    """A `SiteLink` whose sites make their update when they are asked for it."""

    def __init__(self, codes: Mapping[int, str], seed: int) -> None:
        self._codes, self._rng = codes, np.random.default_rng(seed)
        self._asked: dict[str, tuple[RoundPlan, dict[str, tuple[int, ...]]]] = {}

    def sites(self) -> dict[int, str]:
        """All of them."""
        return dict(self._codes)

    def send(
        self,
        node: int,
        plan: str,
        tensors: Tensors,
        *,
        ttl_s: float,
        attempt: str = "",
        receipt: str = "",
    ) -> tuple[str, int]:
        """Note what was asked, in the rounds that are measured."""
        if len(self._asked) >= _ROUNDS * len(self._codes):
            raise _Enough
        request = f"{len(self._asked)}"
        shapes = {name: value.shape for name, value in tensors.items()}
        self._asked[request] = (RoundPlan.from_json(plan), shapes)
        return request, sum(value.nbytes for value in tensors.values())

    def exchange(
        self, node: int, attempt: str, exchange: str, message: bytes, *, ttl_s: float
    ) -> tuple[str, int]:
        """There is no secure sum."""
        raise AssertionError("no secure sum was asked for")

    def poll(self, request: str) -> SiteReply:
        """A random update."""
        plan, shapes = self._asked[request]
        update = {
            name: self._rng.standard_normal(shape, dtype=np.float32)
            for name, shape in shapes.items()
        }
        return SiteReply(
            request=request,
            code="ok",
            tensors=update,
            metrics={},
            num_bytes=sum(value.nbytes for value in update.values()),
            receipt=_receipt(int(request) % len(self._codes), plan.round),
        )


def measure_adapters(folder: Path, seed: int) -> LargeFigures:
    """The second round's peaks over what the coordinator held when it began."""
    spec = AdapterSpec.of_preset(find_preset(PRESET), seed=seed)
    spec = AdapterSpec(rank=RANK, alpha=float(RANK), targets=spec.targets, seed=seed)
    shapes = adapter_shapes(empty_transformer(find_preset(PRESET)), spec)
    size = sum(int(np.prod(shape)) for shape in shapes.values()) * 4
    run, settings = _begun(folder, spec)
    codes = {node: path.stem for node, path in enumerate(sorted(folder.glob("sites/*.pub")))}
    base = BaseFacts(fingerprint="0" * 64, shapes=shapes)
    with ResidentMemory(os.getpid) as memory:
        time.sleep(0.2)
        with contextlib.suppress(_Enough):
            run_rounds(OneAtATime(codes, seed), run, settings, base)
    times = {(e["event"], e.get("round")): e["time"] for e in run.events()}  # of the last reply
    begin = times["round-started", _ROUNDS]
    return LargeFigures(
        size_mb=size / 1e6,
        aggregating=memory.over_idle(begin, times["reply", _ROUNDS]) / size,
        whole_round=memory.over_idle(begin, times["round-finished", _ROUNDS]) / size,
    )


def _begun(folder: Path, spec: AdapterSpec) -> tuple[RunFolder, FederationSettings]:
    (folder / "sites").mkdir(parents=True)
    for number in range(SITES):
        (folder / "sites" / f"site-{number + 1:04d}.pub").write_text(f"key {number}\n")
    privacy = PrivacyPlan(
        clip_norm=1.0,
        noise_multiplier=0.0,
        sampling_rate=0.5,
        steps_per_round=1,
        delta=1e-3,
        clips_per_patient=1,
        normaliser=1.0,
    )
    tuning = TuningPlan(
        learning_rate=1e-3,
        warmup_steps=0,
        beta1=0.9,
        beta2=0.95,
        weight_decay=0.0,
        caption_dropout=0.0,
        gradient_checkpointing=True,
    )
    stage = StageSettings(name="tpt", rounds=_ROUNDS + 1, tuning=tuning, privacy=privacy)
    settings = FederationSettings(
        run_id="memory",
        preset=PRESET,
        base_folder="",
        adapter=spec,
        quorum=QuorumSettings(
            expected_sites=SITES,
            min_sites=SITES,
            wait_s=10.0,
            round_s=600.0,
            max_update_norm=1e6,
        ),
        stages=(stage,),
    )
    return RunFolder(path=folder), settings


def _receipt(site: int, number: int) -> str:
    return LedgerReceipt(
        ledger_id=f"{site + 1:032x}",
        seq=number,
        head_hash=f"{number:064x}",
        epsilon=float("inf"),
        delta=1e-3,
    ).to_json()
