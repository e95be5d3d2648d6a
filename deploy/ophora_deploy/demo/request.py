"""The demo's last step: asks the generator host for a video over HTTP, as a requester would."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from ophora_deploy.errors import NotReady
from ophora_deploy.processes import ProcessSet, free_ports, is_listening, process_environment

PROMPT = "Phacoemulsification: break up the nucleus with the phaco tip."
_READY_S = 120.0
_VIDEO_S = 180.0


def ask_for_video(
    release: Path, data: Path, out: Path, log: Path, on_progress: Callable[[int], None]
) -> str:
    """Starts a host on the release, creates a video, waits, saves it to `out`; the video's id.

    Raises NotReady when the host or the video does not come in time.
    """
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "ophora_deploy.cli", "generator", "serve"]
    options = ["--release", str(release), "--data", str(data), "--port", str(port)]
    with ProcessSet() as processes:
        host = processes.start(
            "generator", [*command, *options], log=log, env=process_environment()
        )
        processes.wait_until(host, lambda: is_listening(port), timeout_s=_READY_S)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/v1", timeout=30) as client:
            made = client.post("/videos", json={"prompt": PROMPT})
            made.raise_for_status()
            video = made.json()["id"]
            _wait(client, video, on_progress)
            content = client.get(f"/videos/{video}/content")
            content.raise_for_status()
    out.write_bytes(content.content)
    return str(video)


def _wait(client: httpx.Client, video: str, on_progress: Callable[[int], None]) -> None:
    deadline = time.monotonic() + _VIDEO_S
    while time.monotonic() < deadline:
        state = client.get(f"/videos/{video}").json()
        on_progress(int(state["progress"]))
        if state["status"] == "completed":
            return
        if state["status"] == "failed":
            raise NotReady(f"generator: the video failed: {state['error']}")
        time.sleep(0.3)
    raise NotReady(f"generator: no video in {_VIDEO_S:g} s; read its log")
