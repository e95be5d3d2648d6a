"""Small valid plans and federations; a test states only what it is about."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ophora_model.adapter_spec import AdapterSpec
from ophora_model.round_plan import TuningPlan
from ophora_privacy.ledger_head import LedgerReceipt
from ophora_privacy.plan import PrivacyPlan
from ophora_server.federation_settings import FederationSettings, QuorumSettings, StageSettings
from ophora_server.run_folder import RunFolder

TUNING = TuningPlan(
    learning_rate=1e-3,
    warmup_steps=0,
    beta1=0.9,
    beta2=0.95,
    weight_decay=0.0,
    caption_dropout=0.0,
    gradient_checkpointing=False,
)
PRIVACY = PrivacyPlan(
    clip_norm=1.0,
    noise_multiplier=1.0,
    sampling_rate=0.5,
    steps_per_round=2,
    delta=1e-5,
    clips_per_patient=1,
    normaliser=2.0,
)


def make_receipt(seq: int, ledger: int = 1, head: int = 0) -> str:
    """The receipt of a ledger that holds so many entries."""
    return LedgerReceipt(
        ledger_id=f"{ledger:032x}",
        seq=seq,
        head_hash=f"{head or seq:064x}",
        epsilon=float(seq),
        delta=1e-5,
    ).to_json()


def make_stage(name: str, rounds: int, privacy: PrivacyPlan = PRIVACY) -> StageSettings:
    """A stage of so many rounds."""
    return StageSettings(name=name, rounds=rounds, tuning=TUNING, privacy=privacy)


def make_federation(*stages: StageSettings, **quorum: Any) -> FederationSettings:
    """A federation on the tiny base; `quorum` changes single settings of it."""
    usual = {
        "expected_sites": 3,
        "min_sites": 2,
        "wait_s": 10.0,
        "round_s": 60.0,
        "max_update_norm": 100.0,
    }
    return FederationSettings(
        run_id="run-1",
        preset="tiny",
        base_folder="",
        adapter=AdapterSpec(rank=4, alpha=4.0, targets=("attn1.to_q",), seed=1),
        quorum=QuorumSettings(**{**usual, **quorum}),
        stages=stages,
    )


def enrolled(path: Path, codes: Iterable[str]) -> RunFolder:
    """The run's folder with a node key of every site in it, which nothing opens."""
    run = RunFolder(path=path)
    folder = path / "sites"
    folder.mkdir(parents=True, exist_ok=True)
    for code in codes:
        (folder / f"{code}.pub").write_text(f"key of {code}\n")
    return run
