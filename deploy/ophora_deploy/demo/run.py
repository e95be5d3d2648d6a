"""The demo from beginning to end, in the order in which a federation lives."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from ophora_deploy.canaries import search_canaries
from ophora_deploy.demo.evaluation import Evaluation, evaluate, prepare_judge
from ophora_deploy.demo.memory import PeakMemory
from ophora_deploy.demo.plan import DemoPlan, site_mixes
from ophora_deploy.demo.report import Findings, SiteFigures, write_html, write_json
from ophora_deploy.demo.request import ask_for_video
from ophora_deploy.demo.rounds import (
    epsilon_by_stage,
    federation_settings,
    privacy_words,
    read_losses,
    read_traffic,
)
from ophora_deploy.demo.show import Show
from ophora_deploy.demo.sites import (
    DemoSite,
    count_patients,
    count_reasons,
    curate_site,
    make_site,
)
from ophora_deploy.errors import DemoFolderInUse
from ophora_deploy.federation import LocalSite, run_federation
from ophora_model.release import load_generator
from ophora_privacy.accountant import Epsilon
from ophora_server.run_folder import RunFolder

MARKER = ".ophora-demo"
_STAGES = ("tpt", "p2ft")


def run_demo(plan: DemoPlan, out: Path, console: Console) -> Findings:
    """Runs everything and writes report.html, report.json and contact-sheet.png into `out`."""
    _clear(out)
    _share_cores(len(site_mixes()))
    show = Show(console)
    with PeakMemory() as memory:
        sites = _make_sites(plan, out, show)
        run = _run_rounds(plan, out, sites, show)
        evaluations, skill, real = _evaluate(plan, run, show)
        with show.part("Asking the generator for a video", 100) as move:
            ask_for_video(
                run.releases / "p2ft",
                out / "generator",
                out / "asked-for.mp4",
                out / "coordinator" / "logs" / "generator.log",
                lambda percent: move(percent, ""),
            )
        with show.part("Searching for planted personal data") as _:
            canaries = _search(out, sites)
    figures = [_site_figures(site) for site in sites]
    traffic = read_traffic(run)
    spent = max((_epsilon(site) for site in sites), key=lambda epsilon: epsilon.value)
    findings = Findings(
        sites=figures,
        real=real,
        evaluations=evaluations,
        skill=skill,
        bytes_sent=traffic.sent_by_sites,
        bytes_received=traffic.sent_to_sites,
        updates=traffic.updates,
        round_marks=read_losses(sites[0].site.folder)[1],
        canaries=canaries,
        seconds=show.seconds,
        peak_memory_gb=memory.gigabytes,
        privacy_words=privacy_words(plan, spent, plan.patients_per_site),
        target_epsilon=plan.epsilon,
        seed=plan.seed,
    )
    write_json(out / "report.json", findings)
    write_html(out / "report.html", findings)
    return findings


def _clear(out: Path) -> None:
    """Begins anew in a folder that an earlier demo made; touches no other."""
    if out.exists() and any(out.iterdir()) and not (out / MARKER).exists():
        raise DemoFolderInUse(f"out={out}: not empty and not made by a demo; name another folder")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    (out / MARKER).write_text("made by ophora demo; a new demo here replaces it\n")


def _share_cores(sites: int) -> None:
    """Three trainers that each take every core spend their time waiting for one another."""
    each = max(1, (os.cpu_count() or 1) // sites)
    os.environ["OMP_NUM_THREADS"] = str(each)  # of the processes that are started from here on


def _make_sites(plan: DemoPlan, out: Path, show: Show) -> list[DemoSite]:
    sites = []
    mixes = site_mixes()
    with show.part("Making phantom videos", plan.patients_per_site * len(mixes)) as move:
        for number, mix in enumerate(mixes):
            before = number * plan.patients_per_site

            def tell(done: int, _: int, before: int = before, code: str = mix.code) -> None:
                move(before + done, f"site {code}")

            sites.append(make_site(plan, mix, number, out / "sites" / mix.code, tell))
    with show.part("Curating at the sites", plan.patients_per_site * len(mixes)) as move:
        for number, site in enumerate(sites):
            before = number * plan.patients_per_site

            def tell(done: int, _: int, before: int = before, code: str = site.mix.code) -> None:
                move(before + done, f"site {code}")

            curate_site(site, tell)
    return sites


def _run_rounds(plan: DemoPlan, out: Path, sites: Sequence[DemoSite], show: Show) -> RunFolder:
    run = RunFolder(path=out / "coordinator")
    run.path.mkdir(parents=True)
    settings = federation_settings(plan, len(sites))
    settings.write(run.settings_file)
    total = sum(stage.rounds for stage in settings.stages)
    with show.part("Tuning together: TPT, then P2FT", total) as move:
        run_federation(
            run,
            [LocalSite(code=site.mix.code, folder=site.site.folder) for site in sites],
            _round_teller(move),
            record_wire=out / "wire.bin",
        )
    return run


def _round_teller(move: Callable[[int, str], None]) -> Callable[[Mapping[str, Any]], None]:
    """Turns the federation's events into a bar: rounds done, and each site's step."""
    state: dict[str, Any] = {"done": 0, "stage": "starting", "steps": {}}

    def tell(event: Mapping[str, Any]) -> None:
        if event["event"] == "round-started":
            state.update(stage=event["stage"], steps={})
        elif event["event"] == "progress":
            state["steps"][event["site"]] = f"{event['site']} {event['step']}/{event['steps']}"
        elif event["event"] == "round-finished":
            state["done"] = event["round"]
        steps = "  ".join(state["steps"][site] for site in sorted(state["steps"]))
        move(state["done"], f"{state['stage']}  {steps}")

    return tell


def _evaluate(plan: DemoPlan, run: RunFolder, show: Show) -> tuple[dict[str, Evaluation], Any, Any]:
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # loading takes a moment; its bars would break ours
    with show.part("Training the judge on phantom clips", 100) as move:
        judge, skill, real = prepare_judge(plan, lambda done, total: move(100 * done // total, ""))
    evaluations = {}
    with show.part("Generating and judging videos", 36) as move:
        for index, name in enumerate(("base", *_STAGES)):
            generator = load_generator(None if name == "base" else run.releases / name)

            def tell(done: int, _: int, index: int = index, name: str = name) -> None:
                move(index * 12 + done, name)

            evaluations[name] = evaluate(generator, judge, plan, tell)
    return evaluations, skill, real


def _search(out: Path, sites: Sequence[DemoSite]) -> dict[str, int]:
    """Everything that the coordinator holds, the sites sent, or either side logged."""
    planted = {text for site in sites for text in site.planted}
    places = [out / "coordinator", out / "wire.bin", out / "generator"]
    places += [site.site.folder / "logs" for site in sites]
    searched = search_canaries(planted, places)
    return {
        "planted": len(planted),
        "searched_bytes": searched.num_bytes,
        "found": len(searched.hits),
    }


def _epsilon(site: DemoSite) -> Epsilon:
    return site.site.open_ledger().epsilon()


def _site_figures(site: DemoSite) -> SiteFigures:
    tiers, reasons, videos = count_reasons(site.site)
    losses, _ = read_losses(site.site.folder)
    by_stage = epsilon_by_stage(site.site.open_ledger())
    epsilon = _epsilon(site)
    return SiteFigures(
        code=site.mix.code,
        patients=count_patients(site.site),
        videos=videos,
        tiers=tiers,
        reasons=reasons,
        losses=losses,
        epsilon=epsilon.value,
        epsilon_after={stage: spent.value for stage, spent in by_stage.items()},
        delta=epsilon.delta,
        epsilon_method=epsilon.method,
        epsilon_cap=site.site.settings.privacy.epsilon_cap,
    )
