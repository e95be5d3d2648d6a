"""Two hundred damaged and hostile files through the whole pipeline, models and all.

Every file that still is a film has subtitles beside it, so what can be decoded is curated to the
end; workers are watched for memory, time, other files and calls.
"""

import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from goals import Goal

_ROOT = Path(__file__).parents[2]
_LIMIT_S = 30.0
_CAP_MB = 300  # of a worker that looks; workers with models have their own goal elsewhere
_LENIENT: dict[str, Any] = {  # whatever can be decoded becomes a clip
    "min_width": 160,
    "min_height": 96,
    "min_clip_s": 1.0,
    "min_field": 0.0,
    "min_motion": 0.0,
    "max_motion": 10_000.0,
    "max_frozen_s": 120.0,
    "min_sharpness": 0.0,
    "min_spread": 0.0,
    "max_bad_share": 1.0,
    "max_duplicate_distance": -1.0,
}
_CUES = ("Now we make the capsulorhexis.", "Polish the posterior capsule.")


def measure(*, quick: bool, folder: Path, seed: int) -> list[Goal]:
    """One run over all of them; `quick` and `seed` change nothing, the corpus is fixed."""
    sys.path.insert(0, str(_ROOT / "tests" / "support"))
    from hostile import make_corpus
    from ophora_curation.execution import ExecutionSettings
    from ophora_curation.pipeline import curate
    from ophora_curation.settings import CurationPaths, CurationSettings
    from ophora_curation.store.manifest import Manifest
    from watching import Watch

    watch = Watch(folder)
    videos, site = folder / "videos", folder / "site"
    files = make_corpus(videos, watch.canary)
    _narrate(files)
    paths = CurationPaths(
        manifest=site / "manifest.sqlite",
        clips=site / "clips",
        held=site / "held",
        certificates=site / "certificates",
    )
    start_s = time.monotonic()
    with watch:
        curate(
            videos,
            out=paths,
            settings=CurationSettings(**_LENIENT),
            key=b"k" * 32,
            execution=ExecutionSettings(workers=1, video_timeout_s=_LIMIT_S),
        )
    passed_s = time.monotonic() - start_s
    with Manifest.open(paths.manifest) as manifest:
        rows = manifest.videos()
        accepted = len(manifest.clips("p2ft", "tpt"))
    reasons = Counter(row.reasons[0] if row.reasons else row.status for row in rows)
    answered = sum(bool(row.reasons) or row.status == "curated" for row in rows)
    surprises = reasons["worker-died"] + reasons["failed"]
    num = len(files)
    return [
        Goal(what="files with an outcome", measured=answered, samples=num, at_least=num),
        Goal(what="refused with a reason", measured=num - reasons["curated"], samples=num),
        Goal(what="curated, being sound enough", measured=reasons["curated"], samples=num),
        Goal(what="clips accepted from them", measured=accepted, samples=num),
        Goal(
            what="workers that died, errors nobody expected",
            measured=surprises,
            samples=num,
            at_most=0,
        ),
        Goal(what="stopped at their limit of time", measured=reasons["timed-out"], samples=num),
        Goal(
            what="stopped at their limit of memory", measured=reasons["out-of-memory"], samples=num
        ),
        Goal(what="reads of another file", measured=watch.was_read, samples=num, at_most=0),
        Goal(what="calls over the network", measured=watch.num_calls, samples=num, at_most=0),
        Goal(
            what="peak memory of a looking worker, MB",
            measured=watch.most_mb_of("look"),
            samples=num,
            at_most=_CAP_MB,
        ),
        Goal(
            what="peak memory of a worker with models, MB",
            measured=watch.most_mb_of("curate"),
            samples=num,
        ),
        Goal(what="seconds in all", measured=passed_s, samples=num),
    ]


def _narrate(files: list[Path]) -> None:
    cue = "{n}\n00:00:0{n},200 --> 00:00:0{n},900\n{text}\n\n"
    said = "".join(cue.format(n=n, text=text) for n, text in enumerate(_CUES))
    for path in files:
        sidecar = path.with_suffix(".srt")
        has_one = path.name.startswith("sidecar-") or sidecar.is_symlink() or sidecar.exists()
        if path.is_file() and not path.is_symlink() and not has_one:
            sidecar.write_text(said, encoding="ascii")
