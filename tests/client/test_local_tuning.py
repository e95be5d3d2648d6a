"""A hospital's trial run on the real tiny base: two stages, stopped and continued, from the CLI."""

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from ophora_client import local_tuning
from ophora_client.errors import SiteInvalid
from ophora_client.local_tuning import LocalOptions, LocalTuning
from ophora_client.site import Site, init_site
from ophora_client.tune_cli import tune
from ophora_model.base import Base
from ophora_model.errors import Cancelled
from ophora_model.presets import find_preset
from ophora_model.release import read_release
from ophora_model.training_plan import TrainingPlan
from reviewed_site import make_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("hospital") / "site")


def plan(stage: str, **changed: object) -> TrainingPlan:
    values = {"steps": 2, "batch_size": 2, **changed}
    return TrainingPlan.of_stage(find_preset("tiny"), stage, **values)  # type: ignore[arg-type]


def test_p2ft_goes_on_from_tpt_and_both_leave_a_release_and_a_video(site: Site) -> None:
    options = LocalOptions(prompts=("Incision: cut the cornea.",), checkpoint_every=1)
    first = LocalTuning(site, plan("tpt"), options).run()
    assert first.num_clips == 2
    assert [path.suffix for path in first.videos] == [".mp4"]
    second = LocalTuning(site, plan("p2ft", learning_rate=1e-6), options).run()
    assert second.num_clips == 1
    tpt, p2ft = read_release(first.adapter), read_release(second.adapter)
    assert (tpt.stage, p2ft.stage) == ("tpt", "p2ft")
    for name, value in tpt.tensors.items():
        assert np.allclose(value, p2ft.tensors[name], atol=1e-4)
    assert any(np.any(value) for value in tpt.tensors.values())


def test_a_stopped_run_goes_on_to_the_same_adapter(site: Site, tmp_path: Path) -> None:
    whole = LocalTuning(site, plan("tpt", seed=1), LocalOptions()).run()
    expected = read_release(whole.adapter).tensors
    (site.folder / "local" / "tpt").rename(tmp_path / "whole")
    steps: list[int] = []
    with pytest.raises(Cancelled):
        LocalTuning(site, plan("tpt", seed=1), LocalOptions()).run(
            on_step=lambda report: steps.append(report.step), cancelled=lambda: bool(steps)
        )
    rest = LocalTuning(site, plan("tpt", seed=1), LocalOptions()).run()
    assert steps == [1]
    found = read_release(rest.adapter).tensors
    assert all(np.array_equal(expected[name], found[name]) for name in expected)


def test_a_site_without_clips_is_told_to_curate(tmp_path: Path) -> None:
    empty = init_site(tmp_path / "site", code="b")
    with pytest.raises(SiteInvalid, match=r"clips of stage tpt: none"):
        LocalTuning(empty, plan("tpt"), LocalOptions()).run()


def test_a_second_adapter_is_put_on_a_first_that_stays(site: Site) -> None:
    first = LocalTuning(site, plan("tpt", seed=5), LocalOptions()).run()
    below = read_release(first.adapter)
    options = LocalOptions(stack=first.adapter, stack_rank=2)
    second = LocalTuning(site, plan("p2ft", seed=6, ema_decay=0.5), options).run()
    both = read_release(second.adapter)
    assert both.adapter.rank == below.adapter.rank + 2
    for name, value in below.tensors.items():
        assert np.array_equal(both.tensors[name][:, : below.adapter.rank], value)
        down = below.content.factors.down[name]
        assert np.array_equal(both.content.factors.down[name][: len(down)], down)
    assert any(np.any(value[:, below.adapter.rank :]) for value in both.tensors.values())


def test_a_stopped_run_does_not_go_on_over_another_start(site: Site) -> None:
    first = LocalTuning(site, plan("tpt", seed=7), LocalOptions()).run()
    again = plan("p2ft", seed=7)
    steps: list[int] = []
    with pytest.raises(Cancelled):
        LocalTuning(site, again, LocalOptions(start=first.adapter)).run(
            on_step=lambda report: steps.append(report.step), cancelled=lambda: bool(steps)
        )
    stacked = LocalOptions(stack=first.adapter)
    LocalTuning(site, again, stacked).run(on_step=lambda report: steps.append(report.step))
    assert steps == [1, 1, 2]


def test_sharding_needs_processes_and_stacking_a_single_start(site: Site) -> None:
    with pytest.raises(SiteInvalid, match=r"--shard.*torchrun"):
        LocalTuning(site, plan("tpt", seed=8), LocalOptions(shard=True)).run()
    with pytest.raises(SiteInvalid, match=r"--from and --stack"):
        LocalOptions(start=site.folder, stack=site.folder)
    with pytest.raises(SiteInvalid, match=r"--stack-rank 2"):
        LocalOptions(stack_rank=2)


def test_a_base_to_be_sharded_reaches_it_on_the_cpu_wherever_it_is_to_run(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[str, set[str]] = {}

    def shard(base: Base, accelerator: object) -> None:
        assert base.transformer is not None
        found["weights"] = {weight.device.type for weight in base.transformer.parameters()}
        found["runs on"] = {base.device.type}
        raise SiteInvalid("far enough")

    elsewhere = torch.device("meta"), torch.float32  # stands in for a GPU
    monkeypatch.setattr("ophora_model.base.place", lambda preset: elsewhere)
    monkeypatch.setattr("ophora_model.latents.LatentsCache.fill", lambda *_: 0)
    monkeypatch.setattr("ophora_model.latents.LatentsCache.__init__", lambda *_, **__: None)
    monkeypatch.setattr(local_tuning, "shard", shard)
    with pytest.raises(SiteInvalid, match="far enough"):
        LocalTuning(site, plan("tpt", seed=10), LocalOptions(shard=True)).run()
    assert found == {"weights": {"cpu"}, "runs on": {"meta"}}


@pytest.mark.filterwarnings("ignore")  # mlflow's use of SQLAlchemy is behind ours
def test_mlflow_writes_into_the_site_whatever_server_the_environment_names(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9/elsewhere")
    LocalTuning(site, plan("tpt", seed=4), LocalOptions(track="mlflow")).run()
    assert (site.folder / "local" / "tpt" / "runs" / "mlflow.db").stat().st_size > 0


def test_losses_go_to_the_sites_own_tensorboard(site: Site, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    LocalTuning(site, plan("tpt", seed=3), LocalOptions(track="tensorboard")).run()
    assert list((site.folder / "local" / "tpt" / "runs").rglob("events.out.tfevents.*"))


def test_the_command_needs_local_and_names_bad_values(site: Site) -> None:
    import typer

    app = typer.Typer()
    app.command()(tune)
    run = CliRunner().invoke
    refused = run(app, ["--site", str(site.folder)])
    assert isinstance(refused.exception, SiteInvalid)
    assert "ophora site serve" in str(refused.exception)
    odd = run(app, ["--site", str(site.folder), "--local", "--track", "odd"])
    assert "--track odd" in str(odd.exception)
    args = ["--local", "--steps", "1", "--batch-size", "1", "--seed", "9"]
    done = run(app, ["--site", str(site.folder), *args, "--prompt", "Incision: cut the cornea."])
    assert done.exit_code == 0, done.output
    assert "1 steps on 2 clips" in done.output
    assert "must not leave the site" in done.output
