"""federation.toml is strict and survives writing and reading."""

from pathlib import Path

import pytest

from ophora_model.adapter_spec import AdapterSpec
from ophora_model.round_plan import TuningPlan
from ophora_privacy.plan import PrivacyPlan
from ophora_server.errors import InvalidFederation
from ophora_server.federation_settings import (
    FederationSettings,
    QuorumSettings,
    StageSettings,
)


def _stage(name: str, rounds: int = 2) -> StageSettings:
    return StageSettings(
        name=name,
        rounds=rounds,
        tuning=TuningPlan(
            learning_rate=1e-3,
            warmup_steps=0,
            beta1=0.9,
            beta2=0.95,
            weight_decay=0.0,
            caption_dropout=0.1,
            gradient_checkpointing=False,
        ),
        privacy=PrivacyPlan(
            clip_norm=1.0,
            noise_multiplier=0.1,
            sampling_rate=0.5,
            steps_per_round=3,
            delta=1e-5,
            clips_per_patient=1,
            normaliser=2.0,
        ),
    )


def _settings(*stages: StageSettings) -> FederationSettings:
    return FederationSettings(
        run_id="run-1",
        preset="tiny",
        base_folder="",
        adapter=AdapterSpec(rank=4, alpha=4.0, targets=("attn1.to_q",), seed=1),
        quorum=QuorumSettings(
            expected_sites=3, min_sites=2, wait_s=10.0, round_s=60.0, max_update_norm=100.0
        ),
        stages=stages,
    )


def test_survives_a_file(tmp_path: Path) -> None:
    settings = _settings(_stage("tpt"), _stage("p2ft"))
    settings.write(tmp_path / "federation.toml")
    assert FederationSettings.read(tmp_path / "federation.toml") == settings


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('preset = "tiny"', 'preset = "huge"', "huge"),
        ("min_sites = 2", "min_sites = 4", "min_sites=4"),
        ("min_sites = 2", "min_sitez = 2", "min_sitez"),
        ("clip_norm = 1.0", "clip_norm = 0.0", "clip_norm=0"),
        ("clip_norm = 1.0", "", "clip_norm"),
        ('name = "tpt"', 'name = "warm"', "warm"),
        ("rounds = 2", 'rounds = "two"', "rounds='two'"),
        ("rank = 4", "rank = ", "federation.toml"),
    ],
)
def test_names_what_is_wrong(tmp_path: Path, old: str, new: str, named: str) -> None:
    path = tmp_path / "federation.toml"
    _settings(_stage("tpt")).write(path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InvalidFederation, match=named):
        FederationSettings.read(path)


def test_stages_come_in_order_and_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidFederation, match="in order"):
        _settings(_stage("p2ft"), _stage("tpt"))
    with pytest.raises(InvalidFederation, match="not found"):
        FederationSettings.read(tmp_path / "federation.toml")


def test_more_rounds_are_the_same_run_but_another_adapter_is_not() -> None:
    short, long = _settings(_stage("tpt", 1)), _settings(_stage("tpt", 5))
    assert short.identity() == long.identity()
    other = FederationSettings.from_dict(
        {**short.to_dict(), "adapter": {**short.adapter.to_dict(), "seed": 2}}
    )
    assert other.identity() != short.identity()
