"""The host over real HTTP, with the vendor's own SDK and a real worker process.

One host serves all tests that leave it usable.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

openai = pytest.importorskip("openai", reason="needs the dev extra: pip install openai")


pytestmark = [
    pytest.mark.slow,
    # the vendor ends its own service; the SDK stays the client that other servers are used with
    pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning"),
]


@pytest.fixture
def client(host):
    with openai.OpenAI(base_url=f"{host.url}/v1", api_key="unused", max_retries=0) as made:
        yield made


def wait_gone(pid: int, timeout_s: float = 8) -> bool:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


def test_the_sdk_creates_waits_downloads_lists_and_deletes(client, host) -> None:
    video = client.videos.create(
        prompt="an incision", model="ophora-fake", seconds="4", size="96x64", extra_body={"seed": 9}
    )
    assert (video.status, video.object, video.progress) == ("queued", "video", 0)
    host.wait_for(video.id, "completed")
    done = client.videos.retrieve(video.id)
    assert (done.status, done.progress, done.expires_at) == ("completed", 100, None)
    assert done.completed_at >= done.created_at
    payload = client.videos.download_content(video.id).read()
    assert payload[4:8] == b"ftyp"
    assert host.get(f"/v1/videos/{video.id}/provenance")["seed"] == 9
    assert video.id in [one.id for one in client.videos.list(limit=1)]
    part = urllib.request.Request(
        f"{host.url}/v1/videos/{video.id}/content", headers={"Range": "bytes=4-7"}
    )
    with urllib.request.urlopen(part, timeout=5) as response:
        assert (response.status, response.read()) == (206, b"ftyp")
    assert client.videos.delete(video.id).deleted is True
    with pytest.raises(openai.NotFoundError):
        client.videos.retrieve(video.id)
    assert not list((host.data / "videos").glob(f"*{video.id}*"))


def test_bad_requests_get_error_objects_that_name_the_value(client, host) -> None:
    before = host.get("/v1/videos")["data"]
    for field, value in (("model", "sora-2"), ("size", "1280x720"), ("seconds", "12")):
        with pytest.raises(openai.BadRequestError) as caught:
            client.videos.create(prompt="an incision", **{field: value})
        assert caught.value.body["param"] == field
        assert value in caught.value.body["message"]
        assert "allowed: " in caught.value.body["message"]
    with pytest.raises(openai.BadRequestError):
        client.videos.create(prompt="x" * 2001)
    with pytest.raises(openai.BadRequestError, match="input_reference"):
        client.videos.create(prompt="an incision", input_reference=("a.png", b"123"))
    with pytest.raises(openai.BadRequestError, match="limit"):
        client.videos.list(limit=1000)
    for body, kind in (
        (b"{", "application/json"),
        (b"[" * 60000, "application/json"),
        (b"[]", "application/json"),
        (b"{}" + b" " * 70000, "application/json"),
        (b"x", "multipart/form-data; boundary=a"),
        (b"x", "text/plain"),
    ):
        request = urllib.request.Request(
            f"{host.url}/v1/videos", body, {"Content-Type": kind}, method="POST"
        )
        with pytest.raises(urllib.error.HTTPError) as failed:
            urllib.request.urlopen(request, timeout=5)
        with failed.value as response:
            assert response.code == 400
            assert json.load(response)["error"]["type"] == "invalid_request_error"
    assert host.get("/v1/videos")["data"] == before


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("Host", "rebound.example", 403),
        ("Origin", "https://elsewhere.example", 403),
        ("Host", "[::", 403),
        ("Origin", "null", 403),
        ("Origin", "http://127.0.0.1:1", 200),
        ("Host", "localhost:1", 200),
    ],
)
def test_a_web_page_from_elsewhere_cannot_use_the_host(
    host, name: str, value: str, status: int
) -> None:
    answer = httpx.get(f"{host.url}/v1/videos", headers={name: value}, timeout=5)
    assert answer.status_code == status


def test_content_of_an_unfinished_video_is_an_error_and_deleting_it_stops_the_worker(
    client, host
) -> None:
    video = client.videos.create(prompt="slow", extra_body={"steps": 200})
    host.wait_for(video.id, "in_progress")
    with pytest.raises(openai.NotFoundError) as caught:
        client.videos.download_content(video.id)
    assert caught.value.body["code"] == "video_not_ready"
    started = time.monotonic()
    assert client.videos.delete(video.id).deleted is True
    assert time.monotonic() - started < 3  # 200 steps would take a minute
    after = client.videos.create(prompt="an incision")
    host.wait_for(after.id, "completed", timeout_s=5)


def test_a_worker_killed_once_costs_no_job_and_killed_twice_fails_it(client, host) -> None:
    (host.data / "runs.txt").unlink(missing_ok=True)
    once = client.videos.create(prompt="killed once")
    host.wait_for(once.id, "completed")
    always = client.videos.create(prompt="killed always")
    failed = host.wait_for(always.id, "failed")
    assert failed["error"]["code"] == "worker_died"
    assert len((host.data / "runs.txt").read_text().splitlines()) == 4
    last = client.videos.create(prompt="an incision")
    host.wait_for(last.id, "completed")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_however_the_host_ends_its_worker_ends_and_its_job_goes_on_later(
    start_host: Callable, number: signal.Signals
) -> None:
    with start_host() as first:
        body = json.dumps({"prompt": "slow", "steps": 6}).encode()
        request = urllib.request.Request(
            f"{first.url}/v1/videos", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=5) as response:
            video_id = json.load(response)["id"]
        first.wait_for(video_id, "in_progress")
        (worker,) = first.worker_pids()
        os.kill(first.process.pid, number)
        first.process.wait(10)
        assert wait_gone(worker)
    with start_host() as second:
        assert second.wait_for(video_id, "completed")["progress"] == 100
        names = {path.name for path in (second.data / "videos").iterdir()}
    assert names == {f"{video_id}.mp4", f"{video_id}.json"}


def run_host(data: Path, *more: str) -> subprocess.CompletedProcess[str]:
    script = Path(__file__).parent / "support" / "fake_host.py"
    return subprocess.run(
        [sys.executable, str(script), str(data), *more], capture_output=True, text=True, timeout=120
    )


def test_a_second_host_on_the_same_folder_is_refused(host) -> None:
    second = run_host(host.data)
    assert second.returncode != 0
    assert "another generator host uses it" in second.stderr


def test_a_release_that_cannot_be_loaded_ends_the_host_with_the_reason(tmp_path: Path) -> None:
    ended = run_host(tmp_path / "data", "fail")
    assert ended.returncode != 0
    assert "worker stopped 3 times while it loaded the release" in ended.stderr


def test_the_page_and_health_answer_and_no_prompt_reaches_the_logs(client, host) -> None:
    video = client.videos.create(prompt="broken for Miller")
    host.wait_for(video.id, "failed")
    with urllib.request.urlopen(host.url, timeout=5) as response:
        page = response.read().decode()
        assert "default-src 'self'" in response.headers["Content-Security-Policy"]
    assert "synthetic" in page
    assert page.count('class="chip"') == 12
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert host.get("/health")["status"] == "ok"
    log = (host.data.parent / "host.log").read_text()
    assert video.id in log
    assert "Miller" not in log
