"""Model cards: the records in words, and nothing that they do not say."""

from dataclasses import replace
from pathlib import Path

import pytest

from gating import ROSTER, make_evidence, make_figure, make_policy, write_plain_release
from ophora_model.release import Release, read_release
from ophora_server.evidence import Evidence
from ophora_server.model_card import render_card
from ophora_server.release_gate import Decision, decide


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    folder: Path = tmp_path_factory.mktemp("card")
    return read_release(write_plain_release(folder / "p2ft"))


def _decide(release: Release, evidence: Evidence) -> Decision:
    found = decide(
        make_policy(), evidence, {}, release.card, adapter_sha256=release.sha256, roster=ROSTER
    )
    return replace(found, approved=("site-a", "site-b"))


def _render(release: Release, evidence: Evidence | None = None) -> str:
    evidence = evidence or make_evidence(release.sha256)
    return render_card(release, evidence, make_policy(), _decide(release, evidence))


def test_a_card_says_what_it_is_and_who_made_it(release: Release) -> None:
    card = _render(release)
    assert card.startswith("# tiny, stage p2ft, round 2\n")
    assert release.sha256 in card
    assert "2 sites, by pseudonym: site-a, site-b." in card
    assert "2 over all stages, 1 in its history" in card
    assert "Signed by 2 sites (2 needed): site-a, site-b." in card


def test_epsilon_is_said_in_words_without_an_accountant_that_nobody_named(
    release: Release,
) -> None:
    card = _render(release)
    assert "at delta 0.0001: epsilon 4.00: whether a patient took part" in card
    assert "at most 54.6 times" in card
    assert "upper bound)" not in card


def test_without_an_epsilon_no_guarantee_is_stated(release: Release) -> None:
    bare = replace(release.card, epsilon=None, delta=None)
    stated = replace(release, content=replace(release.content, card=bare))
    assert "No guarantee is stated." in _render(stated)


def test_every_threshold_and_figure_has_its_row(release: Release) -> None:
    evidence = make_evidence(release.sha256, make_figure("membership", "site-a.pia.auc", 0.9))
    card = _render(release, evidence)
    assert "| membership AUC | 0.9 | 0.899 to 0.901 | at most 0.6 | 0.9: must be at most" in card
    assert "| membership | site-a.pia.auc | 0.9 | 0.899 to 0.901 | 200 | 2026-11-28 |" in card
    assert "| readable overlays | 0 |  | at most 0 | yes |" in card
    assert "- `ophora federation audit releases/p2ft --kind iris` (attack=pia," in card
    assert "seed 7; code 0.1.0)" in card


def test_the_iris_is_never_called_de_identified(release: Release) -> None:
    card = _render(release)
    assert "The iris and the fundus are biometrics" in card
    assert "Safe Harbor" not in card


def test_a_command_stays_a_command(release: Release) -> None:
    figure = make_figure("iris", "rate", 0.001, command="audit `x` # not a title")
    lines = _render(release, make_evidence(release.sha256, figure)).splitlines()
    assert "- `audit 'x' # not a title` (attack=pia, confidence=0.95; seed 7; code 0.1.0)" in lines


def test_the_same_records_give_the_same_card(release: Release) -> None:
    assert _render(release) == _render(release)
