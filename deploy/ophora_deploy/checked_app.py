"""What a SuperNode starts for a message: Flower's own work, behind a check of the bundle.

    SITE/flower/bin/flwr-clientapp -> `main` -> SHA-256 of the bundle that was sent -> Flower

A SuperNode runs whatever bundle its SuperLink hands it, and compares no hash. Ours names an app of
the installed code and holds no code itself; any other is refused here, before a file of it is
written. The site's process says which one is expected, by the environment; no message does.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ophora_deploy.errors import BundleRefused

BUNDLE_VARIABLE = "OPHORA_BUNDLE"
_COMMAND = "flwr-clientapp"
_REFUSED = "bundle: is not the one that this site agreed to"  # Flower sends the text on


def bundle_hash(folder: Path) -> str:
    """SHA-256 of the bundle that Flower makes of `folder`; the same on every machine."""
    from flwr.cli.build import build_fab_from_disk

    with warnings.catch_warnings():  # Flower's own use of a pattern class that is to go
        warnings.simplefilter("ignore", DeprecationWarning)
        return hashlib.sha256(build_fab_from_disk(folder)).hexdigest()


def checked_environment(
    site: Path, environment: Mapping[str, str], *, expected: str
) -> dict[str, str]:
    """For a SuperNode that starts `main` in place of Flower's command, for this bundle alone."""
    folder = site.resolve() / "flower" / "bin"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    command = folder / _COMMAND
    command.write_text(
        f"#!{sys.executable}\nfrom ophora_deploy.checked_app import main\n\nmain()\n",
        encoding="utf-8",
    )
    command.chmod(0o700)
    path = f"{folder}{os.pathsep}{environment.get('PATH', '')}"
    return {**environment, "PATH": path, BUNDLE_VARIABLE: expected}


def checked(install: Callable[..., Any], expected: str) -> Callable[..., Any]:
    """`install` that raises BundleRefused on another bundle, before it reads it."""

    def install_checked(fab_file: Path | bytes, *rest: Any, **named: Any) -> Any:
        content = fab_file if isinstance(fab_file, bytes) else fab_file.read_bytes()
        if not expected or hashlib.sha256(content).hexdigest() != expected:
            raise BundleRefused(_REFUSED)
        return install(content, *rest, **named)

    return install_checked


def main() -> None:
    """What Flower's command does, with the check in it.

    The command itself would import all of the SuperNode, a third of the processor time of an
    exchange; what it calls is imported alone.
    """
    from flwr.common.args import add_args_flwr_app_common, try_obtain_flwr_app_token
    from flwr.supercore.constant import SUPERNODE_DEFAULT_CLIENT_ADDRESS
    from flwr.supercore.tls import validate_and_resolve_root_certificates

    parser = argparse.ArgumentParser(description="Run a Flower ClientApp that the site agreed to")
    parser.add_argument("--runtime-api-address", default=SUPERNODE_DEFAULT_CLIENT_ADDRESS)
    add_args_flwr_app_common(parser=parser)
    arguments = parser.parse_args()
    token = try_obtain_flwr_app_token(arguments)
    runner: Any = importlib.import_module("flwr.supernode.runtime.run_clientapp")
    expected = os.environ.get(BUNDLE_VARIABLE, "")
    runner.install_from_fab = checked(runner.install_from_fab, expected)
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
