"""The Flower app of every simulated site; the runtime calls it in its worker processes.

What answers is made once in each process and then kept: there the base is in memory once.
"""

from __future__ import annotations

from functools import cache
from typing import Protocol

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from ophora_deploy.errors import SimulationRefused
from ophora_deploy.simulation.plan import SimulationPlan
from ophora_deploy.simulation.worker import RandomSites, TunedSites
from ophora_server.federation_settings import FederationSettings
from ophora_server.run_folder import RunFolder

app = ClientApp()


class Sites(Protocol):
    """Who answers for all sites."""

    def answer(self, message: Message) -> Message:
        """As the site that the message is for."""
        ...


@app.train()
def train(message: Message, context: Context) -> Message:
    """One round at one of the sites."""
    return _sites().answer(message)


@cache
def _sites() -> Sites:
    run = RunFolder.from_environment()
    plan = SimulationPlan.read(run.path)
    if plan is None:
        raise SimulationRefused(f"{run.path}: no simulation was begun here")
    if not plan.tuning:
        return RandomSites(run, plan)
    return TunedSites(run, plan, FederationSettings.read(run.settings_file))
