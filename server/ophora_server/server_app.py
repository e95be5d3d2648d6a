"""The coordinator's Flower app: read the run's folder, run the rounds over the Grid.

Started by flower-superexec. The folder comes from this process' environment, so nothing that is
read or written here can be named by a message.
"""

from __future__ import annotations

from collections.abc import Callable

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from ophora_model.errors import ModelError
from ophora_privacy.errors import PrivacyError
from ophora_privacy.watch.log import Log, start_logging
from ophora_privacy.watch.spans import start_traces, stop_traces
from ophora_server.errors import RunBusy, ServerError
from ophora_server.federation_settings import FederationSettings
from ophora_server.one_round import read_base_facts
from ophora_server.rounds import run_rounds
from ophora_server.run_folder import RunFolder
from ophora_server.site_link import GridLink, SiteLink

app = ServerApp()
_LOG = Log("rounds")


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run what is left of the run over Flower's grid."""
    run = RunFolder.from_environment()
    coordinate(run, lambda: GridLink(grid, run.site_codes()))


def coordinate(run: RunFolder, open_link: Callable[[], SiteLink]) -> None:
    """Run what is left of the run; the reason of a failure goes to the run's event log.

    A failure is final where the coordinator's own rules end the rounds; what else ends them, such
    as the wire, may be over at another start.
    """
    run.logs.mkdir(parents=True, exist_ok=True)
    # a file of its own: Flower takes this process' standard error to itself
    with (run.logs / "rounds.log").open("a", encoding="utf-8") as lines:
        start_logging(lines)
        try:
            start_traces("ophora-coordinator")
            settings = FederationSettings.read(run.settings_file)
            run_rounds(open_link(), run, settings, read_base_facts(settings))
        except RunBusy as error:  # the event log is that of whoever runs the rounds
            _LOG.failed("failed", error)
            raise
        except Exception as error:
            is_ours = isinstance(error, ServerError | ModelError | PrivacyError)
            reason = str(error) if is_ours else type(error).__name__
            run.record("failed", reason=reason, final=is_ours)
            _LOG.failed("failed", error)
            raise
        finally:
            stop_traces()
