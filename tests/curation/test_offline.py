"""The whole pipeline in a network namespace that has nothing in it, not even this machine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ophora_curation.phantom.make import make_phantoms
from ophora_curation.phantom.request import PhantomRequest

pytestmark = pytest.mark.slow
SCRIPT = """
import json, socket, sys
from pathlib import Path
sys.path[:] = json.loads(sys.argv[3])
from curation_fakes import paths_in
from ophora_curation.pipeline import curate
from ophora_curation.settings import CurationSettings

def reaches_itself():
    with socket.create_server(("127.0.0.1", 0)) as server:
        try:
            socket.create_connection(server.getsockname(), timeout=2).close()
        except OSError:
            return False
    return True

assert not reaches_itself(), "there is a network"
summary = curate(
    Path(sys.argv[1]),
    out=paths_in(Path(sys.argv[2])),
    settings=CurationSettings(min_width=160, min_height=96),
    key=b"k" * 32,
)
print(json.dumps([summary.curated, summary.refused, summary.counts]))
"""


def _isolating() -> list[str]:
    for command in (["unshare", "-n"], ["unshare", "-rn"]):
        try:
            if subprocess.run([*command, "true"], capture_output=True).returncode == 0:
                return command
        except OSError:
            break
    pytest.skip("not possible here: network namespaces are forbidden")


def test_subtitled_and_spoken_videos_are_curated_without_a_network(tmp_path: Path) -> None:
    videos, site = tmp_path / "videos", tmp_path / "site"
    paths = make_phantoms(
        PhantomRequest(
            out=videos,
            patients=2,
            seed=11,
            segments=(3, 3),
            speech_share=0.5,
            overlay_share=0.0,
            personal_overlay_share=0.0,
            fault_share=0.0,
        )
    )
    assert sum(path.with_suffix(".srt").exists() for path in paths) == 1
    done = subprocess.run(
        [*_isolating(), sys.executable, "-c", SCRIPT, str(videos), str(site), json.dumps(sys.path)],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    curated, refused, counts = json.loads(done.stdout)
    assert (curated, refused) == (2, 0)
    assert counts["p2ft"] + counts["tpt"] > 0
