"""Evidence: strict figures about one adapter, in one form of bytes."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gating import make_evidence, make_figure
from ophora_model.errors import PlanInvalid
from ophora_privacy.signed_record import canonical_bytes
from ophora_server.errors import RecordInvalid
from ophora_server.evidence import Evidence, Figure, join_evidence, parse_record

ADAPTER = "a" * 64
NUMBER = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "evidence.json"
    make_evidence(ADAPTER).write(path)
    return path


def test_what_is_written_is_read_back_with_the_same_hash(written: Path) -> None:
    evidence = make_evidence(ADAPTER, make_figure("iris", "site-a.rate", None, samples=0))
    evidence.write(written)
    assert Evidence.read(written).to_dict() == evidence.to_dict()
    assert Evidence.read(written).sha256 == evidence.sha256


@given(value=NUMBER, width=st.floats(0, 1e6), samples=st.integers(0, 2**31))
def test_any_finite_figure_survives_the_way_there_and_back(
    value: float, width: float, samples: int
) -> None:
    figure = make_figure("quality", "x.y", value, low=value - width, high=value, samples=samples)
    again = Figure.from_dict(json.loads(canonical_bytes(figure.to_dict())))
    assert again == figure
    assert canonical_bytes(again.to_dict()) == canonical_bytes(figure.to_dict())


def test_the_order_of_figures_changes_no_hash() -> None:
    figures = make_evidence(ADAPTER).figures
    assert (
        Evidence(adapter_sha256=ADAPTER, figures=figures[::-1]).sha256
        == Evidence(adapter_sha256=ADAPTER, figures=figures).sha256
    )


def test_every_changed_figure_changes_the_hash() -> None:
    usual = make_evidence(ADAPTER)
    other = make_evidence(ADAPTER, make_figure("iris", "rate", 0.0030001))
    assert usual.sha256 != other.sha256
    assert usual.sha256 != make_evidence("b" * 64).sha256


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"value": math.nan}, "value=nan"),
        ({"value": math.inf}, "value=inf"),
        ({"value": True}, "value=True"),
        ({"low": None}, "both or neither"),
        ({"low": 0.9, "high": 0.1}, "must be <= high"),
        ({"high": math.nan}, "high=nan"),
        ({"samples": -1}, "samples=-1"),
        ({"samples": 1.5}, r"samples=1\.5"),
        ({"kind": "Iris audit"}, "kind="),
        ({"name": "a..b"}, "name="),
        ({"command": "a\nb"}, "command="),
        ({"command": "audit /home/somebody/x"}, "absolute path"),
        ({"command": "audit --out=~/x"}, "absolute path"),
        ({"parameters": {"site": "St. Elsewhere Eye Clinic"}}, r"parameters\.site"),
        ({"parameters": {"cut": math.nan}}, r"parameters\.cut"),
        ({"parameters": [1]}, "must be a table"),
        ({"seed": -1}, "seed=-1"),
        ({"code_version": ""}, "code_version"),
        ({"made_on": "28.11.2026"}, "made_on"),
        ({"made_on": "2026-02-30"}, "made_on"),
    ],
)
def test_a_figure_that_can_not_be_is_refused_by_name(changed: dict[str, Any], named: str) -> None:
    usual = make_figure("iris", "rate", 0.5).to_dict()
    with pytest.raises(PlanInvalid, match=named):
        Figure.from_dict({**usual, **changed})


def test_unknown_and_missing_keys_are_refused() -> None:
    usual = make_figure("iris", "rate", 0.5).to_dict()
    with pytest.raises(PlanInvalid, match=r"figure\.comment"):
        Figure.from_dict({**usual, "comment": "well"})
    del usual["seed"]
    with pytest.raises(PlanInvalid, match=r"figure\.seed: missing"):
        Figure.from_dict(usual)


def test_one_figure_is_given_once() -> None:
    twice = (make_figure("iris", "rate", 0.1), make_figure("iris", "rate", 0.9))
    with pytest.raises(PlanInvalid, match="given twice"):
        Evidence(adapter_sha256=ADAPTER, figures=twice)


def test_figures_are_found_by_the_last_part_of_their_name() -> None:
    evidence = make_evidence(ADAPTER, make_figure("membership", "site-a.pia.auc", 0.55))
    assert [figure.name for figure in evidence.figures_of("membership", "auc")] == [
        "auc",
        "site-a.pia.auc",
    ]


def test_audits_of_one_adapter_are_joined_and_of_two_are_not() -> None:
    one = Evidence(adapter_sha256=ADAPTER, figures=(make_figure("iris", "rate", 0.1),))
    other = Evidence(adapter_sha256=ADAPTER, figures=(make_figure("overlay", "readable", 0),))
    assert join_evidence([one, other]).kinds == {"iris", "overlay"}
    with pytest.raises(PlanInvalid, match="of 2 adapters"):
        join_evidence([one, make_evidence("b" * 64)])
    with pytest.raises(PlanInvalid, match="of 0 adapters"):
        join_evidence([])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace(b'"figures"', b'"adapter_sha256": "x", "figures"', 1),
        lambda text: text + b"\n",
        lambda text: text.replace(b"0.003", b"3e-3", 1),
        lambda text: text.replace(b"0.003", b"NaN", 1),
        lambda text: text.replace(b"0.003", b"1e999", 1),
        lambda text: text[:-9],
        lambda text: b"[" * 100_000,
        lambda text: b"\xff\xfe",
        lambda text: b"[]",
    ],
)
def test_a_file_that_was_edited_is_refused(written: Path, spoil: Any) -> None:
    written.write_bytes(spoil(written.read_bytes()))
    with pytest.raises(RecordInvalid, match=r"evidence\.json"):
        Evidence.read(written)


def test_a_file_of_other_figures_is_refused_with_key_and_value(written: Path) -> None:
    given = json.loads(written.read_bytes())
    given["figures"][0]["samples"] = "many"
    written.write_bytes(canonical_bytes(given))
    with pytest.raises(RecordInvalid, match="samples='many'"):
        Evidence.read(written)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(RecordInvalid, match="can't be read"):
        Evidence.read(tmp_path / "evidence.json")


def test_a_record_may_hold_other_languages() -> None:
    payload = canonical_bytes({"a": "\u00e9\ud800"})
    assert canonical_bytes(parse_record("x", payload)) == payload
