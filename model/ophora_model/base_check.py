"""A base folder verified before it is trusted: whole, of the right sizes, finite and pinned.

    folder -> configs and weight files of each part -> hashes, compared with those that are pinned
        -> every tensor's name, shape and values against the preset's own architecture

Weights are read through safetensors only, one tensor at a time: a base of any size is checked in
the memory of its largest tensor, and nothing in the folder is ever unpickled or run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ophora_model.architecture import (
    Architecture,
    Part,
    config_difference,
    empty_part,
    read_architecture,
    read_config,
)
from ophora_model.base import (
    ALL_PARTS,
    FINGERPRINTED,
    find_folder,
    hash_file,
    join_hashes,
    part_files,
)
from ophora_model.errors import BaseMissing
from ophora_model.presets import Preset

OnBytes = Callable[[int, int], None]  # bytes read, bytes to read
_FOLDERS: Mapping[Part, str] = {"transformer": "transformer", "vae": "vae", "text": "text_encoder"}
_PIN = re.compile(r"([0-9a-f]{64}) [ *](\S.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedFile:
    """One file of the base: its name within the folder, its size and its SHA-256."""

    name: str
    num_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseReport:
    """What was verified. `fingerprint` is the one that `load_base` gives this folder."""

    preset: str
    folder: Path
    fingerprint: str
    files: tuple[CheckedFile, ...]
    num_tensors: int
    num_parameters: int


def check_base(
    preset: Preset,
    folder: Path | None = None,
    *,
    parts: Sequence[Part] = ALL_PARTS,
    pinned: str | Mapping[str, str] | None = None,
    on_bytes: OnBytes | None = None,
) -> BaseReport:
    """Verifies the weights that `load_base` would load. Raises `BaseMissing` at the first flaw.

    Guarantee: the parts' configs agree with the preset's architecture, their weight files are
    those that would be loaded and hold exactly its tensors, by name and shape, all finite.
    `pinned` is a fingerprint, or hashes by file name, which then must be all the files there are.
    A text encoder that comes with a registry package is checked where it is loaded.
    """
    root = find_folder(preset, folder)
    wanted = [part for part in parts if part != "text" or preset.text_source == "base"]
    architecture = read_architecture(preset)
    weights = {part: _weight_files(root, part) for part in wanted}
    paths = _all_files(root, wanted)
    spent = _Spent(sum(p.stat().st_size for p in [*paths, *_flat(weights)]), on_bytes)
    files = []
    for path in paths:
        name, size = path.relative_to(root).as_posix(), path.stat().st_size
        files.append(CheckedFile(name=name, num_bytes=size, sha256=hash_file(path)))
        spent.add(size)
    found = _fingerprint(files)
    if pinned is not None:
        _check_pins(files, found, pinned)
    _check_configs(root, wanted, architecture)
    counts = [
        _check_tensors(files, architecture, part, root, spent) for part, files in weights.items()
    ]
    return BaseReport(
        preset=preset.name,
        folder=root,
        fingerprint=found,
        files=tuple(files),
        num_tensors=sum(tensors for tensors, _ in counts),
        num_parameters=sum(parameters for _, parameters in counts),
    )


def read_pins(path: Path) -> dict[str, str]:
    """Hashes by file name, from the lines that `sha256sum` writes. Raises `BaseMissing`."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise BaseMissing(
            f"pins={str(path)!r}: can't be read ({type(error).__name__}); give a file that"
            " sha256sum wrote"
        ) from error
    pins = {}
    for number, line in enumerate(lines, start=1):
        match = _PIN.fullmatch(line.strip())
        if match is None:
            raise BaseMissing(
                f"pins={str(path)!r}: line {number} is no SHA-256 and file name; write the file"
                " with sha256sum in the base's folder"
            )
        pins[match[2].removeprefix("./")] = match[1]
    return pins


class _Spent:
    """Bytes read so far, told to whoever asked."""

    def __init__(self, total: int, on_bytes: OnBytes | None) -> None:
        self._total, self._done, self._on_bytes = total, 0, on_bytes

    def add(self, num_bytes: int) -> None:
        self._done += num_bytes
        if self._on_bytes is not None:
            self._on_bytes(self._done, self._total)


def _all_files(root: Path, parts: Sequence[Part]) -> list[Path]:
    """What the fingerprint covers, then the text encoder and its tokenizer."""
    folders = list(FINGERPRINTED)
    if "text" in parts:
        folders += ["text_encoder", "tokenizer"]
    found = []
    for folder in folders:
        if not (root / folder).is_dir():
            raise BaseMissing(f"base folder has no {folder}/: give a complete folder")
        found += [p for p in part_files(root, folder) if p.is_file()]
    if "text" in parts:
        found += sorted((root / "tokenizer").glob("*.model"))
    return found


def _weight_files(root: Path, part: Part) -> list[Path]:
    """The files that the loaders open: one, or the shards that an index names; no others."""
    folder = root / _FOLDERS[part]
    stem = "model" if part == "text" else "diffusion_pytorch_model"
    index = folder / f"{stem}.safetensors.index.json"
    names = {f"{stem}.safetensors"}
    if index.is_file():
        listed = read_config(index).get("weight_map")
        names = {str(name) for name in listed.values()} if isinstance(listed, dict) else set()
    there = {path.name for path in folder.glob("*.safetensors")}
    for name in sorted(names - there) or ([] if names else [index.name]):
        raise BaseMissing(f"base folder has no {folder.name}/{name}: fetch it, or copy it again")
    for name in sorted(there - names):
        raise BaseMissing(
            f"{folder.name}/{name}: is no file of this base and could be loaded in its place;"
            " remove it"
        )
    return [folder / name for name in sorted(names)]


def _check_configs(root: Path, parts: Sequence[Part], architecture: Architecture) -> None:
    configs = {
        "transformer/config.json": architecture.transformer,
        "vae/config.json": architecture.vae,
        "scheduler/scheduler_config.json": architecture.scheduler,
    }
    if "text" in parts:
        configs["text_encoder/config.json"] = architecture.text
    for name, wanted in configs.items():
        found = read_config(root / name)
        key = config_difference(found, wanted)
        if key is not None:
            raise BaseMissing(
                f"{name}: {key}={found.get(key)!r}, must be {wanted[key]!r}; this is another base"
            )


def _check_tensors(
    paths: Sequence[Path], architecture: Architecture, part: Part, root: Path, spent: _Spent
) -> tuple[int, int]:
    """Tensors and parameters of one part, once each is the one its architecture has."""
    module = empty_part(architecture, part)
    shapes = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    missing = {name for name, _ in module.named_parameters()}  # tied ones once
    seen: set[str] = set()
    parameters = 0
    for path in paths:
        where = path.relative_to(root).as_posix()
        for name, tensor in _tensors(path, where):
            if name in seen or name not in shapes:
                what = "is there twice" if name in seen else "is no tensor of this base"
                raise BaseMissing(f"{where}: {name} {what}; fetch the file again")
            _check_tensor(where, name, tensor, shapes[name])
            seen.add(name)
            parameters += tensor.numel() * (name in missing)
            spent.add(tensor.nbytes)
    for name in sorted(missing - seen):
        raise BaseMissing(
            f"{_FOLDERS[part]}/: {len(missing - seen)} tensors are missing, the first is {name};"
            " fetch its weights again"
        )
    return len(seen), parameters


def _check_tensor(where: str, name: str, tensor: torch.Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape or not tensor.is_floating_point():
        raise BaseMissing(
            f"{where}: {name} is {tensor.dtype} {tuple(tensor.shape)}, must be floating"
            f" {shape}; this is another base"
        )
    if not bool(torch.isfinite(tensor).all()):
        raise BaseMissing(f"{where}: {name} is not finite; fetch the file again")


def _tensors(path: Path, where: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Name and value, one at a time. Raises `BaseMissing` where it is no whole safetensors file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118  it is no mapping
                yield name, file.get_tensor(name)
    except (SafetensorError, OSError, ValueError) as error:
        raise BaseMissing(
            f"{where}: no whole safetensors file ({type(error).__name__}); fetch it again"
        ) from error


def _fingerprint(files: Sequence[CheckedFile]) -> str:
    return join_hashes(
        {file.name: file.sha256 for file in files if file.name.split("/")[0] in FINGERPRINTED}
    )


def _check_pins(files: Sequence[CheckedFile], found: str, pinned: str | Mapping[str, str]) -> None:
    if isinstance(pinned, str):
        if found != pinned:
            raise BaseMissing(
                f"base has fingerprint {found[:12]}..., pinned is {pinned[:12]}...: one of"
                f" {', '.join(f.name for f in files if f.name.endswith('.safetensors'))} or of"
                " their configs differs; pin the list of hashes to learn which"
            )
        return
    hashes = {file.name: file.sha256 for file in files}
    for name in sorted(hashes.keys() | pinned.keys()):
        if hashes.get(name) != pinned.get(name):
            have, want = hashes.get(name, "absent"), pinned.get(name, "not pinned")
            raise BaseMissing(
                f"{name}: sha256 {have[:12]}, pinned {want[:12]}; fetch the file again, or ask"
                " who pinned it"
            )


def _flat(weights: Mapping[Part, Sequence[Path]]) -> list[Path]:
    return [path for paths in weights.values() for path in paths]
