import base64
import gzip
import hashlib
import sqlite3

import numpy as np
import pytest

from ophora_curation.phantom.search import StringFinder, find_strings


def found_in(text, *strings, compressed=False):
    return StringFinder(strings).find(text.encode(), compressed=compressed)


def test_a_string_is_found_in_any_case_and_escaped():
    assert found_in("...mary LINDQVIST...", "Lindqvist", "Smith") == {"Lindqvist"}
    assert found_in('{"a": "M\\u00fcller"}', "Müller") == {"Müller"}


def test_figures_in_a_hash_a_fraction_or_a_longer_number_are_chance():
    digits = "482913"
    assert found_in(f"mrn{digits}.", digits) == {digits}
    assert found_in(f"/{digits}_OD", digits) == {digits}
    assert found_in(f"0.{digits}", digits) == set()
    assert found_in(f"1{digits}", digits) == set()
    assert found_in(f"{hashlib.sha256(b'').hexdigest()[:20]}a{digits}b", digits) == set()


def test_a_name_of_such_letters_inside_a_hash_is_chance():
    assert found_in("d7c8911fc6e1cb62babac1fd", "Baba") == set()
    assert found_in("dear Baba, and d7c8911fc6e1cb62", "Baba") == {"Baba"}


def test_a_short_word_counts_in_media_only_among_readable_text():
    noise = bytes([0, 200, *b"iyer", 3, 250])
    assert StringFinder(["Iyer"]).find(noise) == {"Iyer"}
    assert StringFinder(["Iyer"]).find(noise, compressed=True) == set()
    assert found_in("title: Iyer, cataract", "Iyer", compressed=True) == {"Iyer"}


def test_a_string_across_two_blocks_is_found():
    content = b"\0" * ((1 << 22) - 4) + b"Okonkwo" + b"\0" * 20
    assert StringFinder(["Okonkwo"]).find(content) == {"Okonkwo"}


def test_names_databases_with_journals_and_packed_files_are_searched(tmp_path):
    (tmp_path / "Moreau").mkdir()
    database = sqlite3.connect(tmp_path / "site.sqlite")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("CREATE TABLE notes (said TEXT)")
    database.execute("INSERT INTO notes VALUES ('as Tanaka said')")
    database.commit()
    (tmp_path / "log.gz").write_bytes(gzip.compress(b"for Petrov"))
    picture = base64.b64encode(b"\x89PNG" + b"x" * 60 + b"Andersson").decode()
    (tmp_path / "report.html").write_text(f"<img src='data:image/png;base64,{picture}'>")
    names = ["Moreau", "Tanaka", "Petrov", "Andersson", "Nobody"]
    assert find_strings(tmp_path, names) == set(names[:4])
    database.close()


def test_cells_of_a_table_are_searched(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = arrow.table({"text": ["a word", "of Kowalski", "b"] * 50, "clip": [b"Haddad"] * 150})
    parquet.write_table(table, tmp_path / "clips.parquet", compression="zstd")
    assert find_strings(tmp_path, ["Kowalski", "Haddad", "Weiss"]) == {"Kowalski", "Haddad"}


def test_random_bytes_hold_nobody():
    noise = np.random.default_rng(1).integers(0, 256, 3_000_000, dtype=np.uint8).tobytes()
    names = ["Iyer", "Anna", "Emil", "Rosa", "Silva", "123456"]
    assert StringFinder(names).find(noise, compressed=True) == set()


def test_a_string_too_short_to_mean_anything_is_refused():
    with pytest.raises(ValueError, match="at least 4"):
        StringFinder(["Bo"])
