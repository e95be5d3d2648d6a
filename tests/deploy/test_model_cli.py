"""`ophora model check`: the figures of a preset, the soundness of a folder, one line on errors."""

import hashlib
import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ophora_deploy import cli
from ophora_model.architecture import SHIPPED
from ophora_model.base import base_fingerprint
from ophora_model.errors import ModelError
from ophora_model.presets import find_preset

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(SHIPPED / "tiny", tmp_path / "tiny")


def _check(*arguments: str) -> str:
    """The output on a wide terminal; errors are raised."""
    runner = CliRunner(env={"COLUMNS": "160"})
    result = runner.invoke(cli.build_app(), ["model", "check", *arguments])
    if result.exception is not None:
        raise result.exception
    return result.output


def test_a_large_base_is_shown_before_anything_is_downloaded() -> None:
    shown = _check("cogvideox-2b", "--rank", "16")
    for figure in ("1,693,783,872", "7,372,800", "29.5 MB", "14.7 MB", "470 TFLOP", "4.49 MB"):
        assert figure in shown
    assert "weights are float16: trained in float16" in shown
    assert "fingerprint" not in shown


def test_rank_and_batch_change_what_depends_on_them() -> None:
    assert "adapter of rank 32, 51 matrices" in _check("tiny")
    shown = _check("tiny", "--rank", "4", "--batch", "8")
    assert "adapter of rank 4, 51 matrices" in shown
    assert "tuning step, batch 8" in shown


def test_the_type_of_products_on_this_machine_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from ophora_model import base

    monkeypatch.setattr(base, "place", lambda preset: (torch.device("cuda"), torch.bfloat16))
    assert "on this machine (cuda) products run in bfloat16" in _check("tiny")


def test_the_files_of_a_preset_are_checked_where_it_is_asked_for() -> None:
    shown = _check("tiny", "--verify")
    assert "360 tensors with 5,789,875 parameters" in shown
    assert f"fingerprint {base_fingerprint(find_preset('tiny'))}" in shown


def test_the_files_of_a_folder_are_always_checked(folder: Path) -> None:
    path = folder / "vae" / WEIGHTS
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ModelError, match=f"^vae/{WEIGHTS}: no whole safetensors file"):
        _check(str(folder))


def test_pinned_hashes_are_compared(folder: Path, tmp_path: Path) -> None:
    pins = tmp_path / "pins"
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n"
        for path in folder.rglob("*")
        if path.is_file()
    ]
    pins.write_text("".join(lines))
    assert "the hashes are those pinned" in _check(str(folder), "--pins", str(pins))
    pins.write_text("".join(line.replace(line[:4], "0000", 1) for line in lines))
    with pytest.raises(ModelError, match="sha256"):
        _check(str(folder), "--pins", str(pins))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("huge",), "base='huge': neither a preset (tiny, cogvideox-2b, cogvideox-5b) nor"),
        (("tiny", "--rank", "0"), "adapter.rank=0: must be"),
        (("tiny", "--batch", "0"), "batch=0: must be"),
        ((".",), "transformer/config.json can't be read"),
    ],
)
def test_an_error_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...],
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["ophora", "model", "check", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == cli.EXIT_OWN_ERROR
    shown = capsys.readouterr()
    assert shown.err.startswith(f"error: {named}")
    assert shown.err.count("\n") == 1
    assert shown.out == ""
