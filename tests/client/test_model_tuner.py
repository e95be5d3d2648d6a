"""The tuner on the real tiny base: what a round run twice has in common."""

import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import plans
from ophora_client.model_tuner import ModelTuner
from ophora_client.site import init_site
from ophora_curation.store.manifest import Manifest
from ophora_curation.store.records import ClipRow, VideoRow
from ophora_model import patient_draws
from ophora_model.adapter_spec import AdapterSpec
from ophora_model.errors import CacheUnreadable, VideoUnreadable
from ophora_model.round_plan import RoundPlan

SPEC = AdapterSpec(rank=2, alpha=2.0, targets=("attn1.to_q",), seed=1)


@pytest.fixture
def tuner(tmp_path: Path) -> ModelTuner:
    return ModelTuner(
        preset="tiny",
        base_folder=None,
        manifest=tmp_path / "manifest.sqlite",
        clips=tmp_path,
        cache=tmp_path / "cache",
        key=bytes(range(32)),
    )


def test_a_round_run_again_draws_anew(tuner: ModelTuner, monkeypatch: pytest.MonkeyPatch) -> None:
    draws: list[float] = []

    def spy(ids: Any, rate: float, rng: Any) -> list[str]:
        draws.append(rng.random())
        return []

    monkeypatch.setattr(patient_draws, "sample_patients", spy)
    plan = RoundPlan(
        run_id="run-1",
        stage="tpt",
        round=1,
        preset="tiny",
        base_fingerprint=tuner.base_fingerprint,
        adapter=SPEC,
        tuning=plans.TUNING,
        privacy=plans.PRIVACY.to_dict(),
        code_version=importlib.metadata.version("ophora-federated"),
    )
    start = {name: np.zeros(shape, np.float32) for name, shape in tuner.shapes(SPEC).items()}
    for _ in range(2):
        tuner.tune(plan, plans.PRIVACY, start, on_step=lambda *_: None, cancelled=lambda: False)
    assert len(set(draws)) == len(draws) >= 2


def test_the_cache_is_sealed_with_the_sites_key(tmp_path: Path) -> None:
    site = init_site(tmp_path, code="a")

    def open_tuner(key: bytes) -> ModelTuner:
        return ModelTuner(
            preset="tiny",
            base_folder=None,
            manifest=site.manifest_path,
            clips=site.clips_dir,
            cache=site.cache_dir,
            key=key,
        )

    open_tuner(site.key())
    with pytest.raises(CacheUnreadable, match="delete the cache folder"):
        open_tuner(bytes(32))


def test_a_missing_clip_shows_before_the_tuning(tuner: ModelTuner, tmp_path: Path) -> None:
    video = VideoRow(video_id="v", patient_id="p", sha256="s", recipe="r", status="curated")
    clip = ClipRow(
        clip_id="c",
        video_id="v",
        patient_id="p",
        tier="p2ft",
        reasons=(),
        instruction="incision",
        phase=None,
        start_s=0.0,
        end_s=5.0,
        sha256="0" * 64,
    )
    with Manifest.open(tmp_path / "manifest.sqlite") as manifest:
        manifest.add_video(video)
        manifest.add_clip(clip)
    with pytest.raises(VideoUnreadable):
        tuner.num_clips("tpt")
