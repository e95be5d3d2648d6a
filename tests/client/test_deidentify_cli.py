import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from ophora_client.deidentify_cli import deidentify
from ophora_client.errors import SiteMissing
from ophora_client.site import init_site
from ophora_curation.errors import VideoRefused
from ophora_curation.settings import CurationSettings
from ophora_curation.store.records import Finding

app = typer.Typer()
app.command()(deidentify)
SAID = "Dr. Weiss is here. Now we polish the posterior capsule, Johnson watches.\n"


def _run(*arguments: str | Path, said: bytes | None = None) -> Result:
    environment = {"COLUMNS": "300", "NO_COLOR": "1", "TERM": "dumb"}
    return CliRunner(env=environment).invoke(app, [str(part) for part in arguments], input=said)


@dataclass
class _Preview:
    chunks: tuple[Any, ...]


@pytest.fixture
def previewed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Stands for the preview; "chunks" is what it answers, an exception what it raises."""
    called: dict[str, Any] = {"chunks": ()}

    def preview_video(path: Path, **options: Any) -> _Preview:
        called.update(path=path, **options)
        if isinstance(called["chunks"], Exception):
            raise called["chunks"]
        return _Preview(called["chunks"])

    module = types.ModuleType("ophora_curation.picture.preview")
    module.preview_video = preview_video  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return called


def test_every_sentence_shows_what_goes_and_why(tmp_path: Path) -> None:
    path = tmp_path / "said.txt"
    path.write_text(SAID)
    result = _run("--text", path)
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.output.splitlines()]
    doctor = next(row for row in rows if "Dr." in row)
    assert doctor.count("Weiss") == 2  # said, withheld
    assert "cue:" in doctor
    capsule = next(row for row in rows if "Johnson" in row)
    assert capsule.count("Johnson") == 2
    assert "entity:" in capsule
    assert "instruction: Capsule polishing: polish the posterior capsule." in result.output


def test_standard_input_is_a_text() -> None:
    result = _run("--text", "-", said=b"thank you very much")
    assert result.exit_code == 0, result.output
    assert "instruction: none" in result.output


def test_a_text_can_not_steer_the_terminal() -> None:
    result = _run("--text", "-", said="polish the \x1b[2J\x9bcapsule [bold]here.".encode())
    assert result.exit_code == 0, result.output
    assert "[bold]here" in result.output
    assert "\x1b[2J" not in result.output
    assert "\x9b" not in result.output


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x00\x01polish", "no UTF-8 text"),
        (b"\xff\xfe\xfa", "no UTF-8 text"),
        (b"x" * 1_000_001, "larger than"),
        (b" \n", "empty"),
        (b"polish the capsule and " * 500, "sentence of more than"),
        (None, "can't be read"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "t"
    if content is not None:
        path.write_bytes(content)
    result = _run("--text", path)
    assert result.exit_code == 2
    assert said in result.output


@pytest.mark.parametrize(
    "arguments",
    [(), ("--text", "a", "--frames", "b"), ("--text", "a", "--sheet", "s.png")],
)
def test_exactly_one_thing_is_tried(arguments: tuple[str, ...]) -> None:
    result = _run(*arguments)
    assert result.exit_code == 2
    assert "--frames" in result.output


def test_a_folder_without_a_site_is_an_error(tmp_path: Path) -> None:
    assert isinstance(_run("--text", "-", "--site", tmp_path, said=b"x").exception, SiteMissing)


def test_findings_show_time_box_and_what_happens(tmp_path: Path, previewed: dict[str, Any]) -> None:
    video, sheet = tmp_path / "v.mp4", tmp_path / "sheet.png"
    video.touch()
    text = Finding(detector="text", kind="personal", box=(1, 2, 30, 40), score=0.9, masked=True)
    face = Finding(detector="face", kind="face", box=(5, 6, 7, 8), score=0.5)
    previewed["chunks"] = ((0.0, 5.0, (text,)), (5.0, 9.5, (face,)), (9.5, 12.0, ()))
    result = _run("--frames", video, "--sheet", sheet)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    masked = next(line for line in lines if "text: personal" in line)
    assert "0.0-5.0 s" in masked
    assert "1,2 - 30,40" in masked
    assert "masked" in masked
    held = next(line for line in lines if "face: face" in line)
    assert "5.0-9.5 s" in held
    assert "held" in held
    assert (previewed["path"], previewed["sheet"]) == (video, sheet)
    assert previewed["settings"] == CurationSettings()


def test_the_site_says_with_what_settings(tmp_path: Path, previewed: dict[str, Any]) -> None:
    video = tmp_path / "v.mp4"
    video.touch()
    init_site(tmp_path / "site", code="a")
    with (tmp_path / "site" / "site.toml").open("a") as file:
        file.write("\n[curation]\nmin_width = 800\n")
    result = _run("--frames", video, "--site", tmp_path / "site")
    assert result.exit_code == 0, result.output
    assert previewed["settings"].min_width == 800
    assert "nothing found" in result.output


def test_a_refused_video_says_why(tmp_path: Path, previewed: dict[str, Any]) -> None:
    video = tmp_path / "v.mp4"
    video.touch()
    previewed["chunks"] = VideoRefused("too-small")
    result = _run("--frames", video)
    assert result.exit_code == 1
    assert "refused: too-small" in result.output


def test_a_video_or_sheet_that_can_not_be_is_refused(
    tmp_path: Path, previewed: dict[str, Any]
) -> None:
    video = tmp_path / "v.mp4"
    assert "is no file" in _run("--frames", video).output
    video.touch()
    for sheet in (tmp_path / "s.jpg", tmp_path / "no" / "s.png", tmp_path):
        result = _run("--frames", video, "--sheet", sheet)
        assert result.exit_code == 2
        assert ".png" in result.output
    assert "path" not in previewed
