"""federation.toml is strict and survives writing and reading."""

from dataclasses import replace
from pathlib import Path

import pytest

from ophora_server.aggregation import AggregationSettings
from ophora_server.errors import InvalidFederation
from ophora_server.federation_settings import FederationSettings, SecureSumSettings
from plans import TUNING, make_federation, make_stage

STACKED = replace(make_stage("p2ft", 2), stack_rank=2)


def test_survives_a_file(tmp_path: Path) -> None:
    settings = make_federation(make_stage("tpt", 2), make_stage("p2ft", 2))
    settings.write(tmp_path / "federation.toml")
    assert FederationSettings.read(tmp_path / "federation.toml") == settings


def test_stacking_and_intervals_survive_a_file_and_may_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / "federation.toml"
    parted = replace(STACKED, tuning=replace(TUNING, timestep_intervals=4))
    settings = make_federation(make_stage("tpt", 2), parted)
    settings.write(path)
    assert FederationSettings.read(path) == settings
    plain = make_federation(make_stage("tpt", 2))
    plain.write(path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(x for x in lines if not x.startswith(("stack_rank", "timestep_int"))))
    assert FederationSettings.read(path) == plain


def test_a_stage_stacks_on_the_adapter_before_it() -> None:
    settings = make_federation(make_stage("tpt", 1), STACKED)
    assert settings.adapter_of("tpt") == settings.adapter
    assert settings.adapter_of("p2ft") == settings.adapter.stacked(2)
    plain = make_federation(make_stage("tpt", 1), make_stage("p2ft", 1))
    assert plain.adapter_of("p2ft") == plain.adapter
    assert plain.identity() == make_federation(make_stage("tpt", 1)).identity()
    assert plain.identity() != settings.identity()
    with pytest.raises(InvalidFederation, match=r"stages\.stack_rank=2: must be 0 in the first"):
        make_federation(STACKED)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('preset = "tiny"', 'preset = "huge"', "huge"),
        ("min_sites = 2", "min_sites = 4", "min_sites=4"),
        ("min_sites = 2", "min_sitez = 2", "min_sitez"),
        ("clip_norm = 1.0", "clip_norm = 0.0", "clip_norm=0"),
        ("clip_norm = 1.0", "", "clip_norm"),
        ('name = "tpt"', 'name = "warm"', "warm"),
        ("rounds = 2", 'rounds = "two"', "rounds='two'"),
        ("stack_rank = 0", "stack_rank = -1", "stack_rank=-1"),
        ("timestep_intervals = 1", "timestep_intervals = 0", "timestep_intervals=0"),
        ("rank = 4", "rank = ", "federation.toml"),
        ('run_id = "run-1"', 'run_id = "My run"', "run_id='My run'"),
        ('base_folder = ""', 'base_folder = "/no/such"', "base_folder='/no/such'"),
        ("[quorum]", "quorum = 3\n[other]", "federation.other"),
        ("[[stages]]", "[stages]", "stages="),
        ("[adapter]", "[adapter.more]", "adapter.more"),
        ('kind = "none"', 'kind = "lion"', "server_optimizer.kind='lion'"),
        ('rule = "mean"', 'rule = "median"', "aggregation.rule='median'"),
        ("enough_updates = 0", "enough_updates = 1", "enough_updates=1: must be 0 or >= min"),
        ("enough_updates = 0", "enough_updates = 4", "enough_updates=4"),
        ("proximal = 0.0", "proximal = -1", "proximal=-1"),
    ],
)
def test_names_what_is_wrong(tmp_path: Path, old: str, new: str, named: str) -> None:
    path = tmp_path / "federation.toml"
    make_federation(make_stage("tpt", 2)).write(path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InvalidFederation, match=named):
        FederationSettings.read(path)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "federation.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidFederation, match=r"federation\.toml"):
        FederationSettings.read(path)
    with pytest.raises(InvalidFederation, match="can't be read"):
        FederationSettings.read(tmp_path)


def test_what_needs_each_update_is_refused_where_only_their_sum_is_seen() -> None:
    plain = make_federation(make_stage("tpt", 1), min_sites=3)
    trimmed = AggregationSettings(rule="trimmed-mean")
    assert replace(plain, aggregation=trimmed).aggregation == trimmed
    with pytest.raises(InvalidFederation, match=r'aggregation\.rule.*must be "mean" with'):
        replace(plain, aggregation=trimmed, secure_sum=SecureSumSettings())


def test_optimizer_aggregation_and_the_pull_may_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / "federation.toml"
    plain = make_federation(make_stage("tpt", 2))
    plain.write(path)
    text = path.read_text()
    for table in ("server_optimizer", "aggregation"):
        before, _, rest = text.partition(f"[{table}]\n")
        text = before + rest.partition("\n[")[1] + rest.partition("\n[")[2]
    lines = text.splitlines(keepends=True)
    path.write_text("".join(x for x in lines if not x.startswith(("proximal", "enough"))))
    assert "kind" not in path.read_text()
    assert FederationSettings.read(path) == plain


def test_stages_come_in_order_and_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidFederation, match="in order"):
        make_federation(make_stage("p2ft", 2), make_stage("tpt", 2))
    with pytest.raises(InvalidFederation, match="not found"):
        FederationSettings.read(tmp_path / "federation.toml")


def test_more_rounds_are_the_same_run_but_another_adapter_is_not() -> None:
    short, long = make_federation(make_stage("tpt", 1)), make_federation(make_stage("tpt", 5))
    assert short.identity() == long.identity()
    other = FederationSettings.from_dict(
        {**short.to_dict(), "adapter": {**short.adapter.to_dict(), "seed": 2}}
    )
    assert other.identity() != short.identity()
