"""What a SuperNode starts for a message: Flower's own work, behind a check of the bundle.

    SITE/flower/bin/flwr-clientapp -> `main` -> SHA-256 of the bundle that was sent -> Flower

A SuperNode runs whatever bundle its SuperLink hands it, and compares no hash. Ours names an app of
the installed code and holds no code itself; any other is refused here, before a file of it is
written. The site's process says which one is expected, by the environment; no message does.

Flower looks its commands up on the PATH, one for each kind of task, and goes on to the next folder
where one can't be started. So the SuperNode's PATH is this folder alone: for kinds of task that are
not ours it holds commands that refuse, and ours is tried once before the site connects.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import os
import shlex
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ophora_deploy.errors import BundleRefused

BUNDLE_VARIABLE = "OPHORA_BUNDLE"
_COMMAND = "flwr-clientapp"
_EXECUTOR = "flower-superexec"  # which the SuperNode starts by its name
_REFUSED = "bundle: is not the one that this site agreed to"  # Flower sends the text on
_BROKEN = "bundle: could not be unpacked"  # so that no path of the site goes with it
_TRY_S = 120.0


def bundle_hash(folder: Path) -> str:
    """SHA-256 of the bundle that Flower makes of `folder`; the same on every machine."""
    from flwr.cli.build import build_fab_from_disk

    with warnings.catch_warnings():  # Flower's own use of a pattern class that is to go
        warnings.simplefilter("ignore", DeprecationWarning)
        return hashlib.sha256(build_fab_from_disk(folder)).hexdigest()


def checked_environment(
    site: Path, environment: Mapping[str, str], *, expected: str
) -> dict[str, str]:
    """For a SuperNode that starts `main` in place of Flower's command, for this bundle alone.

    Raises BundleRefused where that command can't be started here.
    """
    folder = site.resolve() / "flower" / "bin"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    for name in _task_commands():
        _write_command(folder / name, "echo 'not a task of this site' >&2\nexit 1")
    start = "from ophora_deploy.checked_app import main; main()"
    ours = [sys.executable, "-c", start]
    _write_command(folder / _COMMAND, f'exec {shlex.join(ours)} "$@"')
    executor = Path(sys.executable).with_name(_EXECUTOR)
    _write_command(folder / _EXECUTOR, _again(executor))
    made = {**environment, "PATH": str(folder), BUNDLE_VARIABLE: expected}
    _try(made)
    return made


def _task_commands() -> list[str]:
    """The command of every kind of task that this Flower knows."""
    from flwr.supercore.constant import TASK_TYPE_TO_COMMAND

    return sorted({_COMMAND, *TASK_TYPE_TO_COMMAND.values()})


def _write_command(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
    path.chmod(0o700)


def _again(executor: Path) -> str:
    """Run the executor for as long as the SuperNode lives, which doesn't notice when it ends: no
    message would be answered any more.
    """
    sleep = shlex.quote(shutil.which("sleep") or "sleep")
    run = f'{shlex.quote(str(executor))} "$@"'
    return f'while :; do\n  {run}\n  kill -0 "$PPID" 2>/dev/null || exit 0\n  {sleep} 1\ndone'


def _try(environment: Mapping[str, str]) -> None:
    try:
        subprocess.run(
            [_COMMAND, "--help"],
            env=dict(environment),
            check=True,
            capture_output=True,
            timeout=_TRY_S,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise BundleRefused(
            f"flower/bin/{_COMMAND}: can't be started ({type(error).__name__}); the site's folder"
            " must lie where programs may run"
        ) from error


def checked(install: Callable[..., Any], expected: str) -> Callable[..., Any]:
    """`install` that raises BundleRefused on another bundle, before it reads it.

    What goes wrong in `install` itself is told without its text.
    """

    def install_checked(fab_file: Path | bytes, *rest: Any, **named: Any) -> Any:
        content = fab_file if isinstance(fab_file, bytes) else fab_file.read_bytes()
        if not expected or hashlib.sha256(content).hexdigest() != expected:
            raise BundleRefused(_REFUSED)
        try:
            return install(content, *rest, **named)
        except Exception:  # the process' edge: Flower would send the text to the coordinator
            raise BundleRefused(_BROKEN) from None

    return install_checked


def main() -> None:
    """What Flower's command does, with the check in it.

    The command itself would import all of the SuperNode, a third of the processor time of an
    exchange; what it calls is imported alone.
    """
    from flwr.common.args import add_args_flwr_app_common, try_obtain_flwr_app_token
    from flwr.supercore.constant import SUPERNODE_DEFAULT_CLIENT_ADDRESS
    from flwr.supercore.tls import validate_and_resolve_root_certificates

    from ophora_client.client_app import SITE_VARIABLE
    from ophora_client.trace_rule import trace_rule
    from ophora_privacy.watch.log import start_logging
    from ophora_privacy.watch.spans import start_traces, stop_traces

    parser = argparse.ArgumentParser(description="Run a Flower ClientApp that the site agreed to")
    parser.add_argument("--runtime-api-address", default=SUPERNODE_DEFAULT_CLIENT_ADDRESS)
    add_args_flwr_app_common(parser=parser)
    arguments = parser.parse_args()
    token = try_obtain_flwr_app_token(arguments)
    start_logging()
    start_traces("ophora-site", trace_rule(Path(os.environ[SITE_VARIABLE])))
    runner: Any = importlib.import_module("flwr.supernode.runtime.run_clientapp")
    expected = os.environ.get(BUNDLE_VARIABLE, "")
    runner.install_from_fab = checked(runner.install_from_fab, expected)
    try:
        runner.run_clientapp(
            runtime_api_address=arguments.runtime_api_address,
            token=token,
            insecure=arguments.insecure,
            certificates=validate_and_resolve_root_certificates(
                arguments.root_certificates, arguments.insecure
            ),
            parent_pid=arguments.parent_pid,
            runtime_dependency_install=arguments.runtime_dependency_install,
        )
    finally:
        stop_traces()
