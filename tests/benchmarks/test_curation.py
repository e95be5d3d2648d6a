"""The runner of the parts, and the parts' material."""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import curation
from curation_parts import decisions, identifiers
from goals import Goal
from ophora_curation.phantom.planted import KINDS

SCRIPT = Path(curation.__file__)


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Parts of the runner, replaced by functions."""
    measured: dict[str, object] = {}

    def find(name: str) -> ModuleType | SimpleNamespace:
        return SimpleNamespace(measure=measured[name.removeprefix("curation_parts.")])

    monkeypatch.setattr(curation.importlib, "import_module", find)
    return measured


def run(*arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["curation.py", *arguments])
        return curation.main()


def test_a_part_that_fails_is_a_row_and_the_others_still_run(
    parts: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = []

    def good(*, quick: bool, folder: Path, seed: int) -> list[Goal]:
        folders.append((folder, folder.is_dir(), quick, seed))
        return [Goal(what="ratio", measured=1.5, samples=3, at_most=2.0)]

    def bad(**_: object) -> list[Goal]:
        raise OSError("no such disk")

    parts |= {"damage": bad, "speed": good}
    figures = tmp_path / "figures.json"
    chosen = ("--only", "damage,speed", "--quick", "--seed", "3", "--json", str(figures))
    assert run(*chosen) == 0
    assert run(*chosen, "--check") == 1
    assert run("--only", "speed", "--check") == 0
    rows = {row["what"]: row for row in json.loads(figures.read_text())["goals"]}
    assert rows["damage: failed with OSError"]["holds"] is False
    assert rows["speed: ratio"]["holds"] is True
    assert folders[0][1:] == (True, True, 3)
    assert not folders[0][0].exists()
    assert "no such disk" not in capsys.readouterr().out


def test_only_the_text_part_is_told_which_sentences_to_read(parts: dict[str, object]) -> None:
    told = []

    def text(*, held_out: str, **_: object) -> list[Goal]:
        told.append(held_out)
        return []

    parts |= {"text": text, "speed": lambda *, quick, folder, seed: []}
    assert run("--only", "text,speed", "--held-out", "b") == 0
    assert told == ["b"]


def test_an_unknown_part_is_named() -> None:
    asked = [sys.executable, str(SCRIPT), "--only", "beauty"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert "'beauty': must be of text, decisions" in answer.stderr


@pytest.mark.parametrize("quick", [False, True])
def test_decisions_are_asked_of_videos_as_the_goals_name_them(tmp_path: Path, quick: bool) -> None:
    asked = list(decisions.requests(tmp_path, 7, quick=quick))
    assert {request.size for request in asked} == {(720, 480), (1280, 720)}
    assert len({request.seed for request in asked}) == len(asked)
    assert sum(request.patients * request.segments[0] for request in asked) >= (
        15 if quick else 300
    )


def test_a_shown_person_is_in_every_channel_and_a_heard_one_only_in_speech(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    people = identifiers.invent_people(rng)
    shown = [next(people) for _ in range(3)]
    for person in shown:
        identifiers.make_shown(tmp_path, rng, person)
    found = {channel: set() for channel in ("speech", "overlay", "file_name", "tags")}
    for path in tmp_path.rglob("*.truth.json"):
        truth = json.loads(path.read_text())
        for kind, channels in truth["planted_by_kind"].items():
            for channel, strings in channels.items():
                found[channel] |= {kind} if strings else set()
    assert found == {channel: set(KINDS) for channel in found}
    assert len({person.last for person in shown} | {person.doctor for person in shown}) == 6


def test_figures_a_recogniser_spread_out_are_still_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["the lens is placed", "file 48 29-13", "vacuum 350 and flow 40"]
    clips = [argparse.Namespace(instruction=text) for text in texts]

    class Rows:
        def __enter__(self) -> "Rows":
            return self

        def __exit__(self, *_: object) -> None: ...

        def clips(self) -> list[argparse.Namespace]:
            return clips

    monkeypatch.setattr(identifiers.Manifest, "open", lambda path: Rows())
    goal = identifiers.figures_left(tmp_path)
    assert (goal.measured, goal.samples, goal.holds) == (1.0, 3, False)
