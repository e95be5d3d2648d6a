"""Blobs: named by their content, verified, and swept when nothing names them."""

import os
import time

import pytest

from ophora_model.errors import PlanInvalid
from ophora_server.registry import (
    AdapterBlob,
    RegistryCorrupt,
    finish_round,
    last_finished,
    read_adapter,
    verify,
)
from ophora_server.registry.blobs import BlobStore


def test_content_comes_back_by_its_digest(folder, store):
    blobs = BlobStore(folder / "blobs")
    digest = blobs.put(b"content")
    assert digest == store.digest("content")
    assert blobs.put(b"content") == digest
    assert blobs.get(digest) == b"content"
    assert (folder / "blobs" / digest[:2] / digest).read_bytes() == b"content"


def test_a_torn_blob_is_refused_and_written_anew(folder):
    blobs = BlobStore(folder / "blobs")
    digest = blobs.put(b"content")
    (folder / "blobs" / digest[:2] / digest).write_bytes(b"con")
    with pytest.raises(RegistryCorrupt, match="not what was written; put the newest copy"):
        blobs.get(digest)
    blobs.put(b"content")
    assert blobs.get(digest) == b"content"


def test_a_blob_that_is_gone_is_told(store):
    registry = store.begun()
    finished = store.finish(registry, 1)
    (store.folder / "blobs" / finished.adapter_digest[:2] / finished.adapter_digest).unlink()
    with pytest.raises(RegistryCorrupt, match="not there"):
        read_adapter(registry, finished.adapter_digest)


def test_a_sweep_takes_what_no_row_names_and_nothing_else(store):
    registry = store.begun()
    finished = store.finish(registry, 1)
    orphan = registry.blobs.put(b"of a process that died")
    drafts = [store.folder / "blobs" / orphan[:2] / f".{n}.part" for n in ("old", "new")]
    for draft in drafts:
        draft.write_bytes(b"half")
    os.utime(drafts[0], (time.time() - 7200,) * 2)
    swept = registry.sweep()
    assert (swept.num_files, swept.num_bytes) == (2, 26)
    assert not registry.blobs.has(orphan)
    assert drafts[1].exists()
    read_adapter(registry, finished.adapter_digest)
    assert last_finished(registry, "run-1").server_state == b"state 1"
    assert registry.sweep().num_files == 0


def test_a_sweep_between_blob_and_commit_loses_nothing(store, monkeypatch):
    registry, other = store.begun(), store.open()
    place = store.begin(registry, 1)
    put, calls = BlobStore.put, []

    def put_and_be_swept(blobs, payload):
        digest = put(blobs, payload)
        calls.append(digest)
        if len(calls) == 2:  # adapter and state are there, no row is
            assert other.sweep().num_files == 2
        return digest

    monkeypatch.setattr(BlobStore, "put", put_and_be_swept)
    finish_round(registry, place, store.outcome(place))
    monkeypatch.undo()
    assert len(calls) == 4
    assert verify(registry).holds


def test_equal_tensors_are_equal_bytes_whatever_their_order(store):
    given = dict(sorted(store.adapter(1).tensors().items()))
    given["a"] = given["attn1.to_q.lora_B"] * 2
    turned = dict(reversed(given.items()))
    assert AdapterBlob.of(given).payload == AdapterBlob.of(turned).payload
    assert AdapterBlob.of(given).shapes_digest != store.adapter(1).shapes_digest
    assert store.adapter(2).shapes_digest == store.adapter(1).shapes_digest
    assert AdapterBlob.read(store.adapter(1).payload) == store.adapter(1)


def test_what_is_not_safetensors_is_no_adapter():
    with pytest.raises(PlanInvalid, match="must be safetensors"):
        AdapterBlob.read(b"pickled")
