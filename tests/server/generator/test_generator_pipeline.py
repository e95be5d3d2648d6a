"""A real release of the tiny preset as the worker's pipeline."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ophora_deploy.cli import build_app
from ophora_model.errors import BaseMissing, Cancelled
from ophora_model.video import read_frames
from ophora_server.errors import InvalidRequest
from ophora_server.generator.order import VideoOrder, read_order
from ophora_server.generator.pipeline import ReleasePipeline, load_pipeline, read_offer
from ophora_server.generator.provenance import hash_file

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from ophora_model.adapter import adapter_shapes
    from ophora_model.adapter_spec import AdapterSpec
    from ophora_model.base import empty_transformer, load_base
    from ophora_model.presets import find_preset
    from ophora_model.release import write_release

    preset = find_preset("tiny")
    spec = AdapterSpec(rank=2, alpha=2.0, targets=("attn1.to_q",), seed=1)
    draw = np.random.default_rng(0)
    shapes = adapter_shapes(empty_transformer(preset), spec)
    return write_release(
        tmp_path_factory.mktemp("release"),
        preset="tiny",
        base_fingerprint=load_base(preset).fingerprint,
        adapter=spec,
        tensors={name: draw.normal(size=of).astype(np.float32) for name, of in shapes.items()},
        stage="tpt",
        round=1,
    )


@pytest.fixture(scope="module")
def pipeline(release: Path) -> ReleasePipeline:
    return load_pipeline(release)


@pytest.fixture
def order(release: Path) -> VideoOrder:
    return read_order({"prompt": "a disc moves", "seed": 3, "steps": 2}, read_offer(release))


def render(
    pipeline: ReleasePipeline,
    order: VideoOrder,
    path: Path,
    on_step: Callable[[int, int], None] = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> dict:
    return dict(pipeline.render(order, path, on_step=on_step, cancelled=cancelled))


def test_the_offer_is_the_presets_size_and_length(release: Path, tmp_path: Path) -> None:
    offer = read_offer(release)
    assert (offer.model, offer.size, offer.seconds) == ("ophora-tiny", "96x64", "4")
    with pytest.raises(BaseMissing, match=r"adapter\.safetensors"):
        read_offer(tmp_path)


def test_one_order_is_one_video_even_after_a_cancelled_one(
    pipeline: ReleasePipeline, order: VideoOrder, tmp_path: Path
) -> None:
    steps: list[tuple[int, int]] = []
    record = render(pipeline, order, tmp_path / "a.mp4", lambda *step: steps.append(step))
    assert steps == [(1, 2), (2, 2)]
    assert (record["seed"], record["steps"]) == (3, 2)
    frames = read_frames(tmp_path / "a.mp4", frames=9, height=64, width=96, fps=2.0)
    assert frames.std() > 1
    with pytest.raises(Cancelled):
        render(pipeline, order, tmp_path / "b.mp4", cancelled=lambda: True)
    assert not (tmp_path / "b.mp4").exists()
    render(pipeline, order, tmp_path / "c.mp4")
    assert hash_file(tmp_path / "a.mp4") == hash_file(tmp_path / "c.mp4")


def test_the_command_writes_the_video_and_its_provenance(release: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out.mp4"
    words = ["generate", "a disc moves", "--release", str(release), "-o", str(out), "--steps", "2"]
    done = CliRunner().invoke(build_app(), words)
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in out.parent.iterdir()) == ["out.json", "out.mp4"]
    refused = CliRunner().invoke(build_app(), [*words[:5], "out.json"])
    assert isinstance(refused.exception, InvalidRequest)
