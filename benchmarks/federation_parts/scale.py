"""Rounds of ever more simulated sites: time by site, and the memory of who adds them up.

Sites answer with a random update, so that it is the coordinator that is measured: Flower's runtime
with two of Ray's workers, registry, verification and sum, as `ophora federation simulate
--no-tuning` runs them. Of two rounds the second is timed: in the first the workers import. Memory
is that of the process that adds up, over what it was when the first round began. The wire's own
state is in that process, too; what the runtime holds of it is bounded by `PacedLink`.
"""

import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import psutil

from federation_parts.aggregation_memory import SITES, LargeFigures, measure_adapters
from federation_parts.resident import ResidentMemory
from goals import Goal
from ophora_deploy.simulation.plan import SimulationPlan
from ophora_deploy.simulation.report import read_rows
from ophora_deploy.simulation.run import simulate
from ophora_deploy.simulation.settings import default_settings
from ophora_server.run_folder import RunFolder

NUM_SITES = (10, 100, 300, 1000)
NUM_SITES_QUICK = (4, 8, 16)
WORKERS = 2
_TIMED = 2  # of the rounds
_PER_SITE = 1.25
_MEMORY = 1.2
_ADAPTERS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one number of sites: seconds of the timed round, bytes over idle."""

    sites: int
    seconds: float
    over_idle: int

    @property
    def per_site_ms(self) -> float:
        """Of the timed round."""
        return 1000 * self.seconds / self.sites


def measure(*, quick: bool, folder: Path, seed: int) -> list[Goal]:
    """Each number of sites in a run of its own; then large updates in a process of their own."""
    found = [_simulated(sites, folder, seed) for sites in (NUM_SITES_QUICK if quick else NUM_SITES)]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        large = pool.submit(measure_adapters, folder / "large", seed).result()
    return [*goals(found), *_large(large)]


def _simulated(sites: int, folder: Path, seed: int) -> Figures:
    plan = SimulationPlan(sites=sites, seed=seed, tuning=False)
    settings = default_settings(plan, rounds=_TIMED)
    out = folder / str(sites)
    with ResidentMemory(_runtime) as memory:
        run = simulate(plan, settings, out, workers=WORKERS)
    row = read_rows(run, settings)[_TIMED - 1]
    assert row.sites == sites  # or the time is that of fewer
    begin, end = _span(run)
    figures = Figures(sites=sites, seconds=row.seconds, over_idle=memory.over_idle(begin, end))
    sys.stderr.write(
        f"    {sites} sites: {figures.seconds:.1f} s, {figures.per_site_ms:.0f} ms a site,"
        f" {figures.over_idle / 1e6:.0f} MB over idle\n"
    )
    return figures


def _runtime() -> int | None:
    """The process in which the rounds run, among those that this one started."""
    for child in psutil.Process().children():
        try:
            if "ophora_deploy.simulation.runtime" in child.cmdline():
                return int(child.pid)
        except psutil.Error:
            continue
    return None


def _span(run: RunFolder) -> tuple[float, float]:
    """From the first round's beginning to the last one's end."""
    times = {(e["event"], e.get("round")): float(e["time"]) for e in run.events()}
    return times["round-started", 1], times["round-finished", _TIMED]


def goals(found: Sequence[Figures]) -> list[Goal]:
    """Of the largest number of sites against the second and the first; then all figures."""
    least, compared, most = found[0], found[1], found[-1]
    rows = [
        Goal(
            what=f"ms a site with {most.sites}, over that with {compared.sites}",
            measured=most.per_site_ms / compared.per_site_ms,
            samples=most.sites,
            at_most=_PER_SITE,
        ),
        Goal(
            what=f"coordinator over idle with {most.sites}, over that with {least.sites}",
            measured=most.over_idle / least.over_idle,
            samples=most.sites,
            at_most=_MEMORY,
        ),
    ]
    for each in found:
        rows += [
            Goal(what=f"{each.sites} sites: s a round", measured=each.seconds, samples=each.sites),
            Goal(
                what=f"{each.sites} sites: coordinator over idle, MB",
                measured=each.over_idle / 1e6,
                samples=each.sites,
            ),
        ]
    return rows


def _large(found: LargeFigures) -> list[Goal]:
    what = f"adapters of {found.size_mb:.0f} MB over idle"
    return [
        Goal(
            what=f"{what}, updates of {SITES} sites added up",
            measured=found.aggregating,
            samples=SITES,
            at_most=_ADAPTERS,
        ),
        Goal(what=f"{what}, whole round", measured=found.whole_round, samples=SITES),
    ]
