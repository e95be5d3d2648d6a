"""An ONNX model that lies inside an installed package, checked against its pinned hash."""

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import onnxruntime  # type: ignore[import-untyped]

from ophora_curation.errors import DetectorMissing


def read_model(package: str, name: str, sha256: str, *, remedy: str) -> bytes:
    """The model's bytes; `name` is its path inside the package, which is not imported.

    Raises `DetectorMissing` when the package or the file is absent, or the file is another one.
    """
    spec = find_spec(package)
    path = Path(spec.origin).parent / name if spec is not None and spec.origin else None
    if path is None or not path.is_file():
        message = f"{Path(name).name} missing: {remedy}"
        raise DetectorMissing(message)
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        message = f"{Path(name).name} sha256={found[:16]}: must be {sha256[:16]}; {remedy}"
        raise DetectorMissing(message)
    return data


def open_model(data: bytes) -> Any:
    """A session on one thread of the processor that writes nothing to the terminal."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
