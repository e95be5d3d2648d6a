"""What the resident trainer and the thin Flower app say to each other, over a Unix socket.

gRPC with generic handlers: six calls whose messages are frames, each a safetensors payload with
a JSON header in its metadata. The socket is readable by the site's user alone and never leaves
the machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from ophora_client.errors import TrainerUnavailable

SERVICE = "ophora.Trainer"
START, PROGRESS, RESULT, CANCEL = "Start", "Progress", "Result", "Cancel"
EXCHANGE, NOW = "Exchange", "Now"
OPTIONS = [
    ("grpc.max_send_message_length", 2**30),
    ("grpc.max_receive_message_length", 2**30),
]
_MESSAGE = "message"
_LONGEST_SOCKET_PATH = 100  # the system's limit is 108 bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One message: a JSON header and tensors."""

    header: Mapping[str, Any]
    tensors: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @classmethod
    def of_message(cls, message: bytes, **header: Any) -> Self:
        """With raw bytes, which travel as a tensor."""
        return cls(header=header, tensors={_MESSAGE: np.frombuffer(message, np.uint8)})

    @property
    def message(self) -> bytes:
        """The raw bytes; empty where there are none."""
        held = self.tensors.get(_MESSAGE)
        return b"" if held is None else held.tobytes()

    def to_bytes(self) -> bytes:
        """A safetensors file whose metadata holds the header."""
        tensors = {name: np.ascontiguousarray(value) for name, value in self.tensors.items()}
        return bytes(save(tensors, metadata={"header": json.dumps(dict(self.header))}))

    @classmethod
    def from_bytes(cls, payload: bytes) -> Frame:
        """The inverse of `to_bytes`."""
        length = int.from_bytes(payload[:8], "little")
        metadata = json.loads(payload[8 : 8 + length])["__metadata__"]
        return cls(header=json.loads(metadata["header"]), tensors=load(payload))


def socket_path(site: Path) -> Path:
    """The trainer's socket of a site: in its folder, or in a private folder if that is too deep.

    Raises TrainerUnavailable when the private folder is somebody else's.
    """
    beside = site.resolve() / "trainer.sock"
    if len(os.fsencode(beside)) <= _LONGEST_SOCKET_PATH:
        return beside
    private = Path(tempfile.gettempdir()) / f"ophora-{os.getuid()}"
    private.mkdir(mode=0o700, exist_ok=True)
    owner = private.lstat()
    if owner.st_uid != os.getuid() or stat.S_IMODE(owner.st_mode) != 0o700:
        raise TrainerUnavailable(f"{private}: must be a folder of yours with mode 0700; remove it")
    return private / f"{hashlib.sha256(os.fsencode(beside)).hexdigest()[:24]}.sock"
