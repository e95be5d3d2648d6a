import errno
import hashlib
import json
import tarfile
import warnings
from pathlib import Path
from typing import Any

import pytest

from ophora_client.site import Site
from ophora_curation.errors import StoreFull
from ophora_curation.store import export as export_module
from ophora_curation.store.export import ExportRefused, export_clips
from ophora_curation.store.manifest import Manifest
from reviewed_site import make_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("export") / "site", num_videos=2)


def run(site: Site, out: Path, kind: str, **options: Any) -> Any:
    with Manifest.open(site.manifest_path) as manifest:
        return export_clips(manifest, clips=site.clips_dir, out=out, kind=kind, **options)


def open_with_datasets(kind: str, pattern: Path, cache: Path, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the package's own imports say
        import datasets

        files = sorted(str(path) for path in pattern.parent.glob(pattern.name))
        return datasets.load_dataset(
            kind, data_files=files, split="train", cache_dir=str(cache), **options
        )


def accepted(site: Site) -> dict[str, Any]:
    with Manifest.open(site.manifest_path) as manifest:
        return {clip.clip_id: clip for clip in manifest.clips("p2ft", "tpt")}


def test_webdataset_opens_the_shards(site: Site, tmp_path: Path) -> None:
    made = run(site, tmp_path / "out", "webdataset", shard_bytes=1)
    assert (made.clips, made.videos, len(made.files)) == (4, 2, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import webdataset

        shards = [str(tmp_path / "out" / name) for name in made.files]
        samples = list(webdataset.WebDataset(shards, shardshuffle=False))
    rows = accepted(site)
    assert {sample["__key__"] for sample in samples} == set(rows)
    for sample in samples:
        row = rows[sample["__key__"]]
        assert hashlib.sha256(sample["mp4"]).hexdigest() == row.sha256
        assert sample["txt"].decode() == row.instruction
        fields = json.loads(sample["json"])
        assert (fields["tier"], fields["patient_id"]) == (row.tier, row.patient_id)


@pytest.mark.slow
def test_datasets_opens_the_shards(site: Site, tmp_path: Path) -> None:
    run(site, tmp_path / "out", "webdataset")
    opened = open_with_datasets(
        "webdataset", tmp_path / "out" / "*.tar", tmp_path / "cache", streaming=True
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        samples = list(opened.decode(False))
    assert {sample["__key__"] for sample in samples} == set(accepted(site))
    assert samples[0]["txt"].startswith("Incision")


@pytest.mark.slow
def test_datasets_opens_the_table(site: Site, tmp_path: Path) -> None:
    made = run(site, tmp_path / "out", "parquet", shard_bytes=1)
    assert len(made.files) == 4
    opened = open_with_datasets("parquet", tmp_path / "out" / "*.parquet", tmp_path / "cache")
    assert type(opened.features["video"]).__name__ == "Video"
    rows = accepted(site)
    assert {sample["clip_id"] for sample in opened} == set(rows)
    for sample in opened:
        row = rows[sample["clip_id"]]
        assert hashlib.sha256(sample["video"]["bytes"]).hexdigest() == row.sha256
        assert json.loads(sample["scores"]) == row.scores
        assert sample["frames"] == row.frames


@pytest.mark.parametrize("kind", ["webdataset", "parquet"])
def test_what_leads_to_a_recording_is_left_out_unless_asked_for(
    site: Site, tmp_path: Path, kind: str
) -> None:
    source = b"5" * 64
    run(site, tmp_path / "plain", kind)
    run(site, tmp_path / "full", kind, with_lineage=True)
    plain = b"".join(path.read_bytes() for path in (tmp_path / "plain").rglob("*.*"))
    full = b"".join(path.read_bytes() for path in (tmp_path / "full").glob("clips-*"))
    assert source not in plain
    assert source in full


@pytest.mark.parametrize("kind", ["webdataset", "parquet"])
def test_the_same_clips_give_the_same_bytes(site: Site, tmp_path: Path, kind: str) -> None:
    for name in ("a", "b"):
        run(site, tmp_path / name, kind)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert len(files) == 4
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_shards_say_nothing_of_time_or_owner(site: Site, tmp_path: Path) -> None:
    made = run(site, tmp_path / "out", "webdataset")
    with tarfile.open(tmp_path / "out" / made.files[0]) as shard:
        headers = shard.getmembers()
    said = {(each.mtime, each.uid, each.gid, each.uname, each.gname) for each in headers}
    assert said == {(0, 0, 0, "", "")}


def test_certificates_and_hashes_lie_beside_the_clips(site: Site, tmp_path: Path) -> None:
    made = run(site, tmp_path / "out", "webdataset")
    assert len(list((tmp_path / "out" / "certificates").glob("*.json"))) == 2
    about = json.loads((tmp_path / "out" / "export.json").read_text())
    shard = (tmp_path / "out" / made.files[0]).read_bytes()
    assert about["files"] == {made.files[0]: hashlib.sha256(shard).hexdigest()}
    assert about["tiers"] == {"p2ft": 2, "tpt": 2}


def test_one_tier_alone(site: Site, tmp_path: Path) -> None:
    assert run(site, tmp_path / "out", "webdataset", tiers=("p2ft",)).clips == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "csv"}, 'format="csv": must be one of'),
        ({"kind": "webdataset", "tiers": ("quarantine",)}, 'tier="quarantine": must be one of'),
        ({"kind": "webdataset", "shard_bytes": 0}, "must be > 0"),
    ],
)
def test_what_is_not_exported_is_named(
    site: Site, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ExportRefused, match=said):
        run(site, tmp_path / "out", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_left_alone(site: Site, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(ExportRefused, match="new or empty"):
        run(site, tmp_path / "out", "webdataset")
    assert [path.name for path in tmp_path.rglob("*.txt")] == ["mine.txt"]


@pytest.mark.parametrize("harm", ["change", "remove"])
def test_a_clip_file_that_is_not_its_rows_stops_the_export(tmp_path: Path, harm: str) -> None:
    site = make_site(tmp_path / "site")
    path = next(site.clips_dir.glob("*.mp4"))
    if harm == "change":
        path.write_bytes(path.read_bytes() + b"x")
    else:
        path.unlink()
    with pytest.raises(ExportRefused, match=path.stem):
        run(site, tmp_path / "out", "webdataset")
    assert {each.name for each in tmp_path.iterdir()} == {"site"}


def test_a_full_disk_leaves_no_half_export(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(export_module, "_finish", refuse)
    with pytest.raises(StoreFull, match="make room"):
        run(site, tmp_path / "out", "webdataset")
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_was_killed_is_made_anew(site: Site, tmp_path: Path) -> None:
    (tmp_path / ".part-out").mkdir()
    (tmp_path / ".part-out" / "clips-000099.tar").write_bytes(b"half")
    run(site, tmp_path / "out", "webdataset")
    assert not (tmp_path / "out" / "clips-000099.tar").exists()
    assert {each.name for each in tmp_path.iterdir()} == {"out"}
