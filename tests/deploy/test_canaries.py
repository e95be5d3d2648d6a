"""The search finds what is let through, however it is written, and refuses to look nowhere."""

import base64
import gzip
import json
import time
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from ophora_deploy.canaries import find_canaries, search_canaries

NAME = "Marta Kowalczyk"


@pytest.mark.parametrize(
    "written",
    [
        f"log: {NAME} operated".encode(),
        NAME.upper().encode(),
        NAME.encode("utf-16-le"),
        NAME.encode("utf-16-be"),
        b"xx" + base64.b64encode(b"a" + NAME.encode() + b"tail"),
        b"xx" + base64.b64encode(b"ab" + NAME.lower().encode()),
        base64.urlsafe_b64encode(NAME.encode()),
        NAME.encode().hex().encode(),
        quote(NAME).encode(),
        b"Marta_Kowalczyk_OD.mp4",
        b"\0" * (8 * 2**20 - 5) + NAME.encode(),
    ],
)
def test_finds_every_way_of_writing(tmp_path: Path, written: bytes) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file.bin").write_bytes(b"before " + written + b" after")
    (hit,) = find_canaries([NAME, "MRN 4711223"], [tmp_path])
    assert (hit.canary, hit.path.name) == (NAME, "file.bin")


def test_finds_file_names_metadata_and_compressed_files(tmp_path: Path) -> None:
    (tmp_path / "Marta-Kowalczyk.txt").write_text("")
    tensors = {"a": np.zeros(3, np.float32)}
    save_file(tensors, tmp_path / "x.safetensors", metadata={"by": NAME})
    (tmp_path / "log.gz").write_bytes(gzip.compress(json.dumps({"n": NAME}).encode()))
    assert {hit.path.name for hit in find_canaries([NAME], [tmp_path])} == {
        "Marta-Kowalczyk.txt",
        "x.safetensors",
        "log.gz",
    }


@settings(deadline=None, max_examples=30)
@given(st.binary(max_size=50), st.binary(max_size=50), st.integers(0, 2))
def test_base64_is_found_wherever_it_begins(
    tmp_path_factory: pytest.TempPathFactory, before: bytes, after: bytes, lead: int
) -> None:
    folder = tmp_path_factory.mktemp("canaries")
    (folder / "f").write_bytes(base64.b64encode(before + b"x" * lead + NAME.encode() + after))
    assert find_canaries([NAME], [folder])


def test_finds_nothing_where_nothing_is(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "weights").write_bytes(rng.bytes(2_000_000))
    (tmp_path / "log").write_text("marta, kowal czyk")
    assert find_canaries([NAME, "4711"], [tmp_path / "log"]) == []
    assert find_canaries([NAME], [tmp_path]) == []


def test_many_canaries_in_much_content_take_seconds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = [f"Person {number:04d} Surname" for number in range(300)]
    content = rng.normal(0, 0.01, 4_000_000).astype(np.float32).tobytes()
    (tmp_path / "wire").write_bytes(content + names[77].encode() + content[:1000])
    began = time.monotonic()
    searched = search_canaries(names, [tmp_path])
    assert [hit.canary for hit in searched.hits] == [names[77]]
    assert searched.num_bytes >= 16_000_000
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("canary", "text", "found"),
    [
        ("662210", "MRN662210 seen", True),
        ("662210", "case_662210.mp4", True),
        ("662210", "id 1662210", False),
        ("662210", "6622101", False),
        ("662210", "loss 0.662210,", False),
        ("662210", "sha ab12cd34ef662210ab12", False),
        ("662210", "case662210", True),
        ("Reed", "we agreed", False),
        ("Reed", "dr.reed_OD", True),
        ("Moreau", "xmoreaux", True),
    ],
)
def test_chance_is_told_from_a_leak(tmp_path: Path, canary: str, text: str, found: bool) -> None:
    (tmp_path / "log").write_text(text)
    assert bool(find_canaries([canary], [tmp_path])) is found


def test_refuses_a_search_that_proves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not there"):
        find_canaries([NAME], [tmp_path / "absent"])
    with pytest.raises(ValueError, match="at least 4"):
        find_canaries(["Li"], [tmp_path])
