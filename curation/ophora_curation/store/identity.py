"""Ids that name a patient, a video and a clip without saying who they are.

Every id is a keyed hash (HMAC-SHA256, the site's own key): stable across runs and renames, and not
to be reversed by trying names or record numbers without the key, which never leaves the site.
"""

import hashlib
import hmac
from pathlib import Path

ID_LENGTH = 16
KEY_BYTES = 32


def keyed_id(key: bytes, kind: str, *parts: str) -> str:
    """An id of `ID_LENGTH` hex digits; `kind` keeps the name spaces apart."""
    if len(key) != KEY_BYTES:
        message = f"site key has {len(key)} bytes: must be {KEY_BYTES}; run `ophora site init`"
        raise ValueError(message)
    text = "\x1f".join((kind, *parts))
    return hmac.new(key, text.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()[
        :ID_LENGTH
    ]


def patient_id(key: bytes, folder_name: str) -> str:
    """The id of the patient whose folder this is."""
    return keyed_id(key, "patient", folder_name)


def content_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
