"""The speech model's files: checked before use, never fetched."""

import hashlib
from pathlib import Path

import pytest

from ophora_curation.errors import DetectorMissing
from ophora_curation.narration import speech_model
from ophora_curation.narration.speech_model import MODEL_SHA256, find_model, model_version
from ophora_curation.settings import CurationSettings

FILES = ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt")


def folder_of(tmp_path: Path) -> CurationSettings:
    for name in FILES:
        (tmp_path / name).write_bytes(b"{}")
    return CurationSettings(speech_model=str(tmp_path))


def test_the_embedded_model_is_the_pinned_one() -> None:
    weights = find_model(CurationSettings()) / "model.bin"
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == MODEL_SHA256
    assert model_version(CurationSettings()) == f"whisper-tiny.en/{MODEL_SHA256[:12]}"


def test_another_embedded_model_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech_model, "MODEL_SHA256", "0" * 64)
    with pytest.raises(DetectorMissing, match="reinstall"):
        find_model(CurationSettings())


@pytest.mark.parametrize("name", FILES)
def test_a_folder_without_a_file_is_refused(tmp_path: Path, name: str) -> None:
    settings = folder_of(tmp_path)
    assert find_model(settings) == tmp_path
    (tmp_path / name).unlink()
    with pytest.raises(DetectorMissing, match=name.split(".")[0]):
        find_model(settings)


def test_a_version_changes_with_the_weights(tmp_path: Path) -> None:
    settings = folder_of(tmp_path)
    assert model_version(settings) == f"{tmp_path.name}/{hashlib.sha256(b'{}').hexdigest()[:12]}"
    (tmp_path / "model.bin").write_bytes(b"other")
    assert model_version(settings).endswith(hashlib.sha256(b"other").hexdigest()[:12])
    (tmp_path / "model.bin").unlink()
    assert model_version(settings).endswith("/missing")


def test_what_is_no_model_can_not_be_loaded(tmp_path: Path) -> None:
    from ophora_curation.narration.speech import SpeechRecognizer

    recognizer = SpeechRecognizer(folder_of(tmp_path))
    with pytest.raises(DetectorMissing, match="can't be loaded"):
        recognizer._load()
