"""A site runs the app that it agreed to and unpacks no other."""

import hashlib
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from flwr.supercore.constant import TASK_TYPE_TO_COMMAND

from ophora_deploy import checked_app
from ophora_deploy.bundle import BUNDLE
from ophora_deploy.checked_app import BUNDLE_VARIABLE, bundle_hash, checked, checked_environment
from ophora_deploy.errors import BundleRefused


def test_the_bundles_hash_is_that_of_its_content_alone(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(BUNDLE, tmp_path / "elsewhere"))
    for path in copy.iterdir():
        os.utime(path, (1, 1))
    assert bundle_hash(copy) == bundle_hash(BUNDLE)
    settings = copy / "pyproject.toml"
    settings.write_text(settings.read_text().replace("ophora_client", "other_client"))
    assert bundle_hash(copy) != bundle_hash(BUNDLE)


@pytest.mark.parametrize("expected", ["", "00" * 32, "hash of the other"])
def test_another_bundle_is_not_even_handed_on(tmp_path: Path, expected: str) -> None:
    seen: list[bytes] = []
    install = checked(lambda content, **_: seen.append(content), expected)
    with pytest.raises(BundleRefused) as refused:
        install(b"Mrs Secret", skip_prompt=True)
    assert seen == []
    assert "Secret" not in str(refused.value)


def test_the_agreed_bundle_is_installed_as_flower_would() -> None:
    seen: list[object] = []
    install = checked(
        lambda content, **named: seen.append((content, named)),
        hashlib.sha256(b"bundle").hexdigest(),
    )
    install(b"bundle", skip_prompt=True)
    assert seen == [(b"bundle", {"skip_prompt": True})]


def test_what_goes_wrong_in_unpacking_is_told_without_its_text() -> None:
    def full(content: bytes) -> None:
        raise OSError(28, "No space left on device", "/srv/St Mary/site")

    install = checked(full, hashlib.sha256(b"bundle").hexdigest())
    with pytest.raises(BundleRefused) as refused:
        install(b"bundle")
    assert "St Mary" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_the_supernodes_command_is_ours_and_still_answers(tmp_path: Path) -> None:
    site = tmp_path / "a site"
    environment = checked_environment(site, dict(os.environ), expected="ab" * 32)
    found = shutil.which("flwr-clientapp", path=environment["PATH"])
    assert found == str(site / "flower" / "bin" / "flwr-clientapp")
    assert stat.S_IMODE(Path(found).stat().st_mode) == 0o700
    assert environment[BUNDLE_VARIABLE] == "ab" * 32
    shown = subprocess.run(
        [found, "--help"], env=environment, capture_output=True, text=True, check=True
    )
    assert "the site agreed to" in shown.stdout


def test_every_other_kind_of_task_is_refused_and_no_folder_comes_after(tmp_path: Path) -> None:
    flowers = {**os.environ, "PATH": str(Path(sys.executable).parent)}
    assert shutil.which("flwr-clientapp", path=flowers["PATH"])  # which must not be found
    environment = checked_environment(tmp_path, flowers, expected="ab" * 32)
    others = set(TASK_TYPE_TO_COMMAND.values()) - {"flwr-clientapp"}
    assert {"flwr-agentapp", "flwr-serverapp"} <= others
    for name in others:
        done = subprocess.run([name], env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (1, "not a task of this site\n")
    (tmp_path / "flower" / "bin" / "flwr-clientapp").chmod(0o600)
    with pytest.raises(OSError, match="flwr-clientapp"):
        subprocess.run(["flwr-clientapp"], env=environment, check=False)


def test_a_site_where_nothing_can_be_started_does_not_connect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checked_app, "_write_command", lambda path, line: path.write_text(line))
    with pytest.raises(BundleRefused, match="where programs may run"):
        checked_environment(tmp_path, dict(os.environ), expected="ab" * 32)


def test_an_executor_that_ends_is_started_again_while_its_supernode_lives(tmp_path: Path) -> None:
    count = tmp_path / "count"
    executor = tmp_path / "executor"
    executor.write_text(f'#!/bin/sh\necho "$1" >> {count}\n')
    executor.chmod(0o700)
    shim = tmp_path / "shim"
    shim.write_text(f"#!/bin/sh\n{checked_app._again(executor)}\n")
    shim.chmod(0o700)
    supernode = subprocess.Popen([sys.executable, "-c", _SUPERNODE, str(shim)], env={"PATH": ""})
    try:
        _wait_for(lambda: count.exists() and count.read_text() == "word\nword\n")
    finally:
        supernode.kill()
        supernode.wait()
    time.sleep(1.5)
    ran = count.read_text()
    time.sleep(1.5)
    assert count.read_text() == ran


_SUPERNODE = "import subprocess, sys; subprocess.Popen([sys.argv[1], 'word']).wait()"


def _wait_for(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)
