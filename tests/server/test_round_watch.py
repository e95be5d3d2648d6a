"""What the rounds tell while they run: their spans and their log lines."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from fake_rounds import FakeLink, asked_for, constant, run_folder
from ophora_model.round_plan import RoundPlan
from ophora_model.update import Tensors
from ophora_server.one_round import BaseFacts, read_base_facts
from ophora_server.rounds import run_rounds
from watched import lines, parsed, spans, tree


@pytest.fixture(scope="module")
def base() -> BaseFacts:
    return read_base_facts(asked_for(tpt=1))


def test_a_round_is_one_tree_of_spans(tmp_path: Path, base: BaseFacts) -> None:
    link = FakeLink(dict.fromkeys((1, 2), constant(1.0)))
    settings = asked_for(tpt=1)
    with spans() as exporter:
        run_rounds(link, run_folder(tmp_path), settings, base)
    found = exporter.get_finished_spans()
    assert tree(found) == {
        "round": "",
        "ask-site": "round",
        "gather": "round",
        "aggregate": "round",
        "commit": "round",
    }
    asked = [each.attributes for each in found if each.name == "ask-site"]
    assert [dict(each or {}) for each in asked] == [
        {"ophora.site": "site-1"},
        {"ophora.site": "site-2"},
    ]
    assert dict(found[-1].attributes or {}) == {
        "ophora.run": settings.run_id,
        "ophora.round": 1,
        "ophora.stage": "tpt",
    }


def test_a_round_is_told_line_by_line_with_its_run(tmp_path: Path, base: BaseFacts) -> None:
    def declines(plan: RoundPlan, start: Tensors) -> tuple[str, Mapping[str, object]]:
        return "whitcombe-1948", {}

    link = FakeLink({1: constant(1.0), 2: constant(1.0), 3: declines})
    settings = asked_for(tpt=1)
    with lines() as stream:
        run_rounds(link, run_folder(tmp_path), settings, base)
    told = parsed(stream)
    assert [line["event"] for line in told] == [
        *("started", "round-started", "reply", "reply", "reply"),
        *("round-finished", "release", "finished"),
    ]
    started, third, finished = told[1], told[4], told[5]
    assert (started["run"], started["round"], started["sites"]) == (settings.run_id, 1, 3)
    assert (third["level"], third["site"], third["code"]) == ("warning", "site-3", "other")
    assert finished["seconds"] >= 0
    assert "whitcombe" not in stream.getvalue()
