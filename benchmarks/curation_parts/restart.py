"""Kill whole runs at random moments, start them again, and compare the site with an undisturbed
one: rows of the manifest, bytes of every clip and certificate.

The moments are spread over the length of the undisturbed run, so that they meet the start of the
workers, the loading of models, both passes over a video and the last steps. All processes of a run
die at once, as in a power cut.
"""

import sys
from pathlib import Path

from goals import Goal

_ROOT = Path(__file__).parents[2]
_SIZE = (192, 128)
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from curation_parts.restart import run; run(*sys.argv[2:])"
)


def measure(*, quick: bool, folder: Path, seed: int) -> list[Goal]:
    """Curate a small phantom folder again and again; 50 kills, quick 6."""
    sys.path.insert(0, str(_ROOT / "tests" / "support"))
    from killing import kill_and_compare

    videos = folder / "videos"
    _make_videos(videos, seed, patients=2 if quick else 4)
    command = (sys.executable, "-c", _PROGRAM, str(_ROOT / "benchmarks"), str(videos))
    kills = 6 if quick else 50
    found = kill_and_compare(command, folder, kills=kills, seed=seed)
    return [
        Goal(what="SIGKILLs of a whole run", measured=found.kills, samples=kills, at_least=kills),
        Goal(what="of them with work left to do", measured=found.unfinished, samples=found.kills),
        Goal(what="of them while a clip was written", measured=found.drafts, samples=found.kills),
        Goal(
            what="restarted sites that differ in a row or a byte",
            measured=len({each.split(":")[0] for each in found.differences}),
            samples=found.sites,
            at_most=0,
        ),
        Goal(
            what="rows without a whole file after a kill",
            measured=found.halves,
            samples=found.kills,
            at_most=0,
        ),
    ]


def _make_videos(folder: Path, seed: int, *, patients: int) -> None:
    """Short ones, one of them without subtitles, with text and faults; and two damaged files."""
    from ophora_curation.phantom.make import make_phantoms
    from ophora_curation.phantom.request import PhantomRequest

    paths = make_phantoms(
        PhantomRequest(
            out=folder,
            patients=patients,
            seed=seed,
            size=_SIZE,
            segments=(3, 3),
            speech_share=1.0 / patients,
            overlay_share=0.3,
            personal_overlay_share=0.3,
            fault_share=0.2,
        )
    )
    whole = paths[0].read_bytes()
    (paths[0].parent / "cut.mp4").write_bytes(whole[: len(whole) // 3])
    (paths[-1].parent / "empty.mp4").touch()


def run(video_dir: str, site_dir: str) -> None:
    """One run; it is this that gets killed."""
    from ophora_curation.execution import ExecutionSettings
    from ophora_curation.pipeline import curate
    from ophora_curation.settings import CurationPaths, CurationSettings

    site = Path(site_dir)
    site.mkdir(exist_ok=True)
    curate(
        Path(video_dir),
        out=CurationPaths(
            manifest=site / "manifest.sqlite",
            clips=site / "clips",
            held=site / "held",
            certificates=site / "certificates",
        ),
        settings=CurationSettings(min_width=160, min_height=96),
        key=b"k" * 32,
        execution=ExecutionSettings(workers=1),
    )
