"""The process of a simulation: Flower's runtime with Ray, and the coordinator's rounds over it.

    python -m ophora_deploy.simulation.runtime --workers N     with OPHORA_RUN=OUT

Data path: node ids of the runtime -> site codes in RUN/sites.json -> `coordinate`, as in a real
federation -> PacedLink -> Ray's workers -> site_app. Ray is started here for this process alone,
without its dashboard, and ends with it; run.py sets the environment that keeps it on loopback.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
import traceback

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp
from flwr.simulation import run_simulation

from ophora_deploy.errors import SimulationRefused
from ophora_deploy.simulation.paced_link import PacedLink
from ophora_deploy.simulation.plan import SimulationPlan
from ophora_deploy.simulation.site_app import app as site_app
from ophora_model.draft import write_whole
from ophora_server.run_folder import RunFolder
from ophora_server.server_app import coordinate
from ophora_server.site_link import GridLink

_STORE_BYTES = 256 << 20
_OUT_PER_WORKER = 4  # one in hand, the rest while the coordinator looks at replies
_REGISTER_S = 300.0
_BEGIN_S = 120.0
_STARTS = 5


def main() -> None:
    """Run what is left of the rounds of the folder that OPHORA_RUN names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, required=True)
    workers = parser.parse_args().workers
    run = RunFolder.from_environment()
    plan = SimulationPlan.read(run.path)
    if plan is None:
        raise SimulationRefused(f"{run.path}: no simulation was begun here")
    logging.getLogger("flwr").setLevel(logging.ERROR)  # it advises another way to start it
    try:
        _start_ray(workers)
        run_simulation(
            server_app=_server_app(run, plan, workers),
            client_app=site_app,
            num_supernodes=plan.sites,
            backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}},
        )
    except BaseException:
        traceback.print_exc()
        os._exit(1)  # Flower's thread with the rounds would wait for replies that never come


def _server_app(run: RunFolder, plan: SimulationPlan, workers: int) -> ServerApp:
    app = ServerApp()

    @app.main()
    def rounds(grid: Grid, context: Context) -> None:
        def link() -> PacedLink:
            codes = _enrol(grid, run, plan)
            return PacedLink(GridLink(grid, codes), at_once=_OUT_PER_WORKER * workers)

        coordinate(run, link)

    return app


def _enrol(grid: Grid, run: RunFolder, plan: SimulationPlan) -> dict[int, str]:
    """Give every node of the runtime a site's code; the workers read the same file."""
    deadline = time.monotonic() + _REGISTER_S
    while len(nodes := sorted(grid.get_node_ids())) < plan.sites:
        if time.monotonic() > deadline:
            raise SimulationRefused(f"{len(nodes)} of {plan.sites} sites after {_REGISTER_S:g} s")
        time.sleep(0.05)
    codes = {node: plan.code(number) for number, node in enumerate(nodes)}
    write_whole(run.sites_file, json.dumps({str(n): code for n, code in codes.items()}).encode())
    return codes


def _start_ray(workers: int) -> None:
    """On this machine, for this process alone; Flower takes one that is there.

    Begun before the rounds: a Ray that doesn't come up must not leave them waiting for sites.
    """
    import ray

    for left in reversed(range(_STARTS)):
        try:
            ray.init(
                address="local",
                num_cpus=workers,
                num_gpus=0,
                object_store_memory=_STORE_BYTES,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
            break
        except Exception:  # its parts give each other 15 s to start: little on a busy machine
            ray.shutdown()
            if not left:
                raise
    ray.get(ray.remote(_is_there).remote(), timeout=_BEGIN_S)


def _is_there() -> bool:
    return True


if __name__ == "__main__":
    main()
