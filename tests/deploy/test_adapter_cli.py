"""Merging and comparing adapters from the command line, on releases of the tiny base."""

from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from ophora_deploy.adapter_cli import diff, merge
from ophora_model.adapter import adapter_shapes
from ophora_model.adapter_spec import AdapterSpec
from ophora_model.base import base_fingerprint, empty_transformer
from ophora_model.errors import ModelError
from ophora_model.presets import find_preset
from ophora_model.release import read_release, write_release

SPEC = AdapterSpec(rank=4, alpha=8.0, targets=("attn1.to_q",), seed=3)


@pytest.fixture
def releases(tmp_path: Path) -> list[Path]:
    preset = find_preset("tiny")
    shapes = adapter_shapes(empty_transformer(preset), SPEC)
    folders = []
    for number in (1, 2):
        rng = np.random.default_rng(number)
        tensors = {name: rng.normal(size=size).astype(np.float32) for name, size in shapes.items()}
        folder = tmp_path / f"release{number}"
        write_release(
            folder,
            preset="tiny",
            base_fingerprint=base_fingerprint(preset),
            adapter=SPEC,
            tensors=tensors,
            stage="tpt",
            round=number,
        )
        folders.append(folder)
    return folders


def run(*arguments: object) -> tuple[str, BaseException | None]:
    app = typer.Typer()
    app.command()(merge)
    app.command()(diff)
    done = CliRunner().invoke(app, [str(each) for each in arguments])
    return done.output, done.exception


def test_the_merged_file_is_the_weighted_mean(releases: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "merged.safetensors"
    said, error = run("merge", *releases, "--out", out, "--weight", 3, "--weight", 1)
    assert error is None
    assert "rank 4" in said
    one, other, merged = (read_release(path).tensors for path in (*releases, out))
    for name, value in merged.items():
        assert np.allclose(value, 0.75 * one[name] + 0.25 * other[name], atol=1e-6)


def test_an_existing_file_is_not_replaced(releases: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "merged.safetensors"
    out.write_text("mine")
    _, error = run("merge", *releases, "--out", out)
    assert isinstance(error, ModelError)
    assert out.read_text() == "mine"


def test_a_wrong_number_of_weights_is_named(releases: list[Path], tmp_path: Path) -> None:
    _, error = run("merge", *releases, "--out", tmp_path / "m.safetensors", "--weight", 1)
    assert isinstance(error, ModelError)
    assert "weights" in str(error)


def test_the_difference_is_shown_by_layer_and_card(releases: list[Path]) -> None:
    said, error = run("diff", *releases)
    assert error is None
    assert "all shared layers" in said
    assert "transformer_blocks.0.attn1" in said
    assert "round" in said
    alike, _ = run("diff", releases[0], releases[0])
    assert "0.0000" in alike
    assert "1.0000" in alike
