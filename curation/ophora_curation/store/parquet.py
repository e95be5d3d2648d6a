"""Exported clips as a Parquet table whose `video` column `datasets` knows as a video.

The bytes are in the table. The column is marked as not decoded, so that it opens without a decoder
at hand: `ds.cast_column("video", Video())` decodes.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_TEXT = (
    *("clip_id", "video_id", "patient_id", "tier", "instruction", "phase", "sha256"),
    *("fingerprint",),
)
_REAL = ("start_s", "end_s", "fps", "confidence")
_WHOLE = ("frames", "width", "height", "residual")
_JSON = ("reasons", "findings", "dropped", "scores", "lineage")  # as text: their keys vary
_COLUMNS = (
    (_TEXT, pa.string(), "string"),
    (_REAL, pa.float64(), "float64"),
    (_WHOLE, pa.int32(), "int32"),
    (_JSON, pa.string(), "string"),
)


def write_table(path: Path, clips: Sequence[tuple[Mapping[str, Any], bytes]]) -> None:
    """Write rows (a clip's fields and the bytes of its file) as one file."""
    present = clips[0][0].keys()
    values: dict[str, pa.Array] = {}
    features: dict[str, Any] = {}
    for names, kind, feature in _COLUMNS:
        for name in (each for each in names if each in present):
            values[name] = pa.array([_value(row, name) for row, _ in clips], kind)
            features[name] = {"dtype": feature, "_type": "Value"}
    video = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    values["video"] = pa.array(
        [{"bytes": content, "path": f"{row['clip_id']}.mp4"} for row, content in clips], video
    )
    features["video"] = {"decode": False, "_type": "Video"}
    about = json.dumps({"info": {"features": features}})
    table = pa.table(values).replace_schema_metadata({"huggingface": about})
    # video does not compress, and a reader should not have to hold all of them
    pq.write_table(table, path, row_group_size=16, compression={"video.bytes": "NONE"})


def _value(row: Mapping[str, Any], name: str) -> Any:
    return json.dumps(row[name], sort_keys=True) if name in _JSON else row[name]
