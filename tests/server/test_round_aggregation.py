"""What the coordinator makes of the updates: optimizers, trimmed means, enough of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fake_rounds import Answer, FakeLink, asked_for, constant, halfway, run_folder
from ophora_server.aggregation import AggregationSettings
from ophora_server.errors import QuorumMissed
from ophora_server.federation_settings import FederationSettings
from ophora_server.one_round import BaseFacts, read_base_facts
from ophora_server.registry.finished import read_adapter
from ophora_server.registry.reports import rounds
from ophora_server.rounds import run_rounds
from ophora_server.run_record import open_registry
from ophora_server.server_optimizer import ServerOptimizer, ServerOptimizerSettings


@pytest.fixture(scope="module")
def base() -> BaseFacts:
    return read_base_facts(asked_for(tpt=1))


@pytest.mark.parametrize("kind", ["momentum", "adam"])
def test_a_server_optimizer_goes_on_over_a_resumed_run_and_starts_anew_in_each_stage(
    tmp_path: Path, base: BaseFacts, kind: str
) -> None:
    optimizer = ServerOptimizerSettings(kind=kind, learning_rate=0.5, tau=1e-3)

    def asked(**rounds: int) -> FederationSettings:
        return replace(asked_for(**rounds), server_optimizer=optimizer)

    sites: dict[int, Answer | None] = {1: halfway, 2: halfway, 3: constant(0.25)}
    whole = run_rounds(FakeLink(sites), run_folder(tmp_path / "whole"), asked(tpt=3, p2ft=1), base)
    halves = run_folder(tmp_path / "halves")
    run_rounds(FakeLink(sites), halves, asked(tpt=1), base)
    resumed = run_rounds(FakeLink(sites), halves, asked(tpt=3, p2ft=1), base)
    plain = run_rounds(
        FakeLink(sites), run_folder(tmp_path / "plain"), asked_for(tpt=3, p2ft=1), base
    )
    name = next(iter(whole.tensors))
    assert np.array_equal(whole.tensors[name], resumed.tensors[name])
    assert not np.allclose(whole.tensors[name], plain.tensors[name])
    anew = ServerOptimizer(optimizer)
    with open_registry(halves) as registry:
        before = rounds(registry, asked(tpt=1).run_id)[2]["adapter_digest"]
        start = read_adapter(registry, before)[name]
    mean = (2 * (1 - start) / 2 + 0.25) / 3
    assert np.allclose(resumed.tensors[name], start + anew.step({name: mean})[name], rtol=1e-5)


def test_a_trimmed_mean_is_not_moved_by_a_hostile_site(tmp_path: Path, base: BaseFacts) -> None:
    settings = replace(
        asked_for(tpt=1), aggregation=AggregationSettings(rule="trimmed-mean", trim_share=0.3)
    )
    link = FakeLink({1: constant(1.0), 2: constant(1.5), 3: constant(-3.0)})
    end = run_rounds(link, run_folder(tmp_path), settings, base)
    assert all(np.allclose(tensor, 1.0) for tensor in end.tensors.values())
    with pytest.raises(QuorumMissed, match="too few for trim_share"):
        run_rounds(
            FakeLink({1: constant(1.0), 2: constant(1.5)}),
            run_folder(tmp_path / "two"),
            settings,
            base,
        )


def test_a_round_ends_once_enough_updates_are_in(tmp_path: Path, base: BaseFacts) -> None:
    settings = asked_for(tpt=1)
    settings = replace(settings, quorum=replace(settings.quorum, enough_updates=2, round_s=60.0))
    link = FakeLink({1: constant(1.0), 2: constant(3.0), 3: None})
    end = run_rounds(
        link, run_folder(tmp_path), settings, base
    )  # a minute, if it waited for the third
    assert end.history[0]["sites"] == ["site-1", "site-2"]
    assert end.history[0]["seconds"] < 30
