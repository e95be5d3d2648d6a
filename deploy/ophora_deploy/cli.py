"""The `ophora` command: one entry point that joins the commands of every installed part.

A hospital's machine has no server code and the coordinator's has no curation code, so a part whose
module is absent is left out of the command. The modules joined here import heavy libraries only
inside their commands, which keeps `ophora --help` under a second. Errors of our own packages end as
one line on stderr and exit code 2; anything else is a defect and keeps its traceback.
"""

import importlib
import importlib.metadata
import importlib.util
import os
import sys
from types import ModuleType

import typer

GROUPS = (
    ("phantom", "ophora_curation.phantom_cli", "Make phantom surgery videos."),
    ("site", "ophora_deploy.site_cli", "Run a hospital's site: curate, status, serve."),
    ("federation", "ophora_deploy.federation_cli", "Run tuning rounds as the coordinator."),
    ("generator", "ophora_server.generator_cli", "Serve videos from a release."),
    ("model", "ophora_deploy.model_cli", "Check, merge and compare adapters and bases."),
)
COMMANDS = (
    ("generate", "ophora_server.generator_cli"),
    ("demo", "ophora_deploy.demo.cli"),
)

EXIT_OWN_ERROR = 2
EXIT_INTERRUPTED = 130


def build_app() -> typer.Typer:
    """Return the root command with every part that is installed here."""
    app = typer.Typer(
        help="Hospitals tune one video generator for eye surgery together; no video leaves them.",
        no_args_is_help=True,
        add_completion=False,
        suggest_commands=False,  # click itself suggests
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    for name, module_name, summary in GROUPS:
        module = _import_if_installed(module_name)
        if module is not None:
            app.add_typer(module.app, name=name, help=summary, no_args_is_help=True)
    for name, module_name in COMMANDS:
        module = _import_if_installed(module_name)
        if module is not None:
            app.command(name)(getattr(module, name))
    return app


def main() -> None:
    """Run the command line; the process edge where our own errors become one line."""
    try:
        build_app()()
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except Exception as error:
        if not is_own_error(error):
            raise
        typer.secho(f"error: {error}", fg=typer.colors.RED, err=True)
        sys.exit(EXIT_OWN_ERROR)


def is_own_error(error: BaseException) -> bool:
    """True when the error derives from a class that one of our `errors` modules defines."""
    return any(
        kind.__module__.startswith("ophora_") and kind.__module__.endswith(".errors")
        for kind in type(error).__mro__
    )


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(importlib.metadata.version("ophora-federated"))
        raise typer.Exit


def _root(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
    log: str = typer.Option(
        "", "--log", metavar="plain|json", help="Form of log lines; default: OPHORA_LOG, or plain."
    ),
) -> None:
    from ophora_privacy.watch.log import FORMAT_VARIABLE, start_logging

    if log:
        os.environ[FORMAT_VARIABLE] = log  # for the processes that this one starts, too
    start_logging()


def _import_if_installed(module_name: str) -> ModuleType | None:
    """Import a part, or return None where it is absent; a part that is there but broken raises."""
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing.startswith("ophora_") and _is_absent(missing):
            return None
        raise


def _is_absent(module_name: str) -> bool:
    """Whether the module's whole package is not installed, or the very part that was asked for."""
    try:
        return importlib.util.find_spec(module_name) is None
    except ModuleNotFoundError:
        return True


if __name__ == "__main__":
    main()
