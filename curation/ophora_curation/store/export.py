"""Accepted clips in the forms that data loaders open: WebDataset shards or Parquet files.

    manifest + clip files -> checked against their rows -> hidden draft folder -> renamed to OUT

OUT appears whole or not at all. Only `p2ft` and `tpt` clips are in it, with their certificates.
Ids stay the keyed ones. What could be matched with a recording elsewhere (the source's hash, the
lineage) is left out unless it is asked for. An export is still the site's own and stays there.
"""

import errno
import hashlib
import io
import json
import os
import shutil
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ophora_curation.errors import CurationError, StoreFull
from ophora_curation.store.certificate import certificate_bytes
from ophora_curation.store.manifest import Manifest
from ophora_curation.store.records import ClipRow, Tier

FORMATS = ("webdataset", "parquet")
EXPORTED_TIERS: tuple[Tier, ...] = ("p2ft", "tpt")
_TRACEABLE = ("lineage", "fingerprint")  # could be matched with a recording elsewhere
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


class ExportRefused(CurationError):
    """The export can't be made as asked; nothing was left in the output folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What an export holds."""

    clips: int
    videos: int
    files: tuple[str, ...]
    num_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    clip: ClipRow
    video: bytes
    fields: dict[str, Any]


def export_clips(
    manifest: Manifest,
    *,
    clips: Path,
    out: Path,
    kind: str,
    tiers: Sequence[Tier] = EXPORTED_TIERS,
    shard_bytes: int = 256 << 20,
    with_lineage: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Exported:
    """Write the export; `progress` is told clips done and clips in all.

    Raises `ExportRefused` for a folder that is not empty, a tier that is never exported, nothing
    to export and a clip file that is not what its row says; `CertificateRefused`; `StoreFull`.
    """
    _check(out, kind, tiers, shard_bytes)
    rows = manifest.clips(*tiers)
    if not rows:
        message = f"no clips in {', '.join(tiers)}: curate or review first"
        raise ExportRefused(message)
    draft = out.with_name(f".part-{out.name}")
    shutil.rmtree(draft, ignore_errors=True)  # of an export that was killed
    try:
        (draft / "certificates").mkdir(parents=True)
        videos = sorted({row.video_id for row in rows})
        for video_id in videos:
            path = draft / "certificates" / f"{video_id}.json"
            path.write_bytes(certificate_bytes(manifest, video_id))
        samples = _samples(rows, clips, with_lineage, progress)
        write = {"webdataset": _write_shards, "parquet": _write_parquet}[kind]
        made = write(draft, samples, shard_bytes)
        exported = _finish(draft, rows, kind, made, len(videos))
        draft.replace(out)
    except OSError as error:
        if error.errno in _FULL:
            message = "the export can't be written: the disk is full or read-only; make room"
            raise StoreFull(message) from error
        raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return exported


def _check(out: Path, kind: str, tiers: Sequence[Tier], shard_bytes: int) -> None:
    if kind not in FORMATS:
        message = f'format="{kind}": must be one of {", ".join(FORMATS)}'
        raise ExportRefused(message)
    for tier in tiers:
        if tier not in EXPORTED_TIERS:
            message = f'tier="{tier}": must be one of {", ".join(EXPORTED_TIERS)}'
            raise ExportRefused(message)
    if shard_bytes < 1:
        message = f"shard_bytes={shard_bytes}: must be > 0"
        raise ExportRefused(message)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        message = f"{out}: must be a new or empty folder"
        raise ExportRefused(message)


def _samples(
    rows: Sequence[ClipRow],
    clips: Path,
    with_lineage: bool,
    progress: Callable[[int, int], None] | None,
) -> Iterator[_Sample]:
    for number, row in enumerate(rows):
        if progress is not None:
            progress(number, len(rows))
        fields = asdict(row)
        for name in () if with_lineage else _TRACEABLE:
            del fields[name]
        yield _Sample(clip=row, video=_checked_bytes(clips, row), fields=fields)
    if progress is not None:
        progress(len(rows), len(rows))


def _checked_bytes(clips: Path, row: ClipRow) -> bytes:
    """The clip's file; what is hashed is what is exported."""
    try:
        content = (clips / f"{row.clip_id}.mp4").read_bytes()
    except FileNotFoundError as error:
        message = f"clip {row.clip_id} has no file: run `ophora site curate` again"
        raise ExportRefused(message) from error
    if hashlib.sha256(content).hexdigest() != row.sha256:
        message = f"the file of clip {row.clip_id} is not what its row says: curate it again"
        raise ExportRefused(message)
    return content


def _batches(samples: Iterator[_Sample], shard_bytes: int) -> Iterator[list[_Sample]]:
    """Samples up to a size; a clip larger than that is alone."""
    batch: list[_Sample] = []
    size = 0
    for sample in samples:
        if batch and size + len(sample.video) > shard_bytes:
            yield batch
            batch, size = [], 0
        batch.append(sample)
        size += len(sample.video)
    if batch:
        yield batch


def _write_shards(folder: Path, samples: Iterator[_Sample], shard_bytes: int) -> list[str]:
    names = []
    for number, batch in enumerate(_batches(samples, shard_bytes)):
        names.append(f"clips-{number:06d}.tar")
        with tarfile.open(folder / names[-1], "w", format=tarfile.USTAR_FORMAT) as shard:
            for sample in batch:
                text = json.dumps(sample.fields, sort_keys=True).encode()
                parts = (
                    ("mp4", sample.video),
                    ("txt", sample.clip.instruction.encode()),
                    ("json", text),
                )
                for suffix, content in parts:
                    # a new header: time, owner and group are 0 and say nothing
                    header = tarfile.TarInfo(f"{sample.clip.clip_id}.{suffix}")
                    header.size = len(content)
                    shard.addfile(header, io.BytesIO(content))
    return names


def _write_parquet(folder: Path, samples: Iterator[_Sample], shard_bytes: int) -> list[str]:
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        message = "Parquet needs pyarrow: install ophora-federated[export], or use webdataset"
        raise ExportRefused(message) from error
    from ophora_curation.store.parquet import write_table

    names = []
    for number, batch in enumerate(_batches(samples, shard_bytes)):
        names.append(f"clips-{number:06d}.parquet")
        write_table(folder / names[-1], [(sample.fields, sample.video) for sample in batch])
    return names


def _finish(
    draft: Path, rows: Sequence[ClipRow], kind: str, made: list[str], num_videos: int
) -> Exported:
    """Name every file with its hash in export.json and wait for the disk."""
    hashes = {}
    for name in made:
        with (draft / name).open("rb") as file:
            hashes[name] = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
    about = {
        "format": kind,
        "clips": len(rows),
        "videos": num_videos,
        "tiers": dict(sorted(Counter(row.tier for row in rows).items())),
        "files": hashes,
        "notice": "De-identified clips of patients. They stay at the site.",
    }
    (draft / "export.json").write_text(json.dumps(about, indent=1, sort_keys=True) + "\n")
    return Exported(
        clips=len(rows),
        videos=num_videos,
        files=tuple(made),
        num_bytes=sum((draft / name).stat().st_size for name in made),
    )
