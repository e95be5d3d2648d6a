"""The coordinator's Flower app: read the run's folder, run the rounds over the Grid.

Started by flower-superexec. The folder comes from this process' environment, so nothing that is
read or written here can be named by a message.
"""

from __future__ import annotations

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from ophora_model.errors import ModelError
from ophora_privacy.errors import PrivacyError
from ophora_server.errors import ServerError
from ophora_server.federation_settings import FederationSettings
from ophora_server.one_round import read_base_facts
from ophora_server.rounds import run_rounds
from ophora_server.run_folder import RunFolder
from ophora_server.site_link import GridLink

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run what is left of the run; the reason of a failure goes to the run's event log."""
    run = RunFolder.from_environment()
    try:
        settings = FederationSettings.read(run.settings_file)
        link = GridLink(grid, run.site_codes())
        run_rounds(link, run, settings, read_base_facts(settings))
    except Exception as error:
        is_ours = isinstance(error, ServerError | ModelError | PrivacyError)
        reason = str(error) if is_ours else type(error).__name__
        run.record("failed", reason=reason)
        raise
