"""A site runs the app that it agreed to and unpacks no other."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

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
    import hashlib

    seen: list[object] = []
    install = checked(
        lambda content, **named: seen.append((content, named)),
        hashlib.sha256(b"bundle").hexdigest(),
    )
    install(b"bundle", skip_prompt=True)
    assert seen == [(b"bundle", {"skip_prompt": True})]


def test_the_supernodes_command_is_ours_and_still_answers(tmp_path: Path) -> None:
    environment = checked_environment(tmp_path, dict(os.environ), expected="ab" * 32)
    found = shutil.which("flwr-clientapp", path=environment["PATH"])
    assert found == str(tmp_path / "flower" / "bin" / "flwr-clientapp")
    assert stat.S_IMODE(Path(found).stat().st_mode) == 0o700
    assert environment[BUNDLE_VARIABLE] == "ab" * 32
    shown = subprocess.run(
        [found, "--help"], env=environment, capture_output=True, text=True, check=True
    )
    assert "ClientApp" in shown.stdout
