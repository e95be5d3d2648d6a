import logging
import signal
import subprocess
import sys
from collections.abc import Iterator

import cv2
import httpx
import numpy as np
import pytest

from ophora_client.loopback.access import Pass
from ophora_client.review.desk import ReviewDesk
from ophora_client.site import Site
from review_server import Running
from reviewed_site import paths_of

COMMAND = (
    "import typer; from ophora_client.review_cli import review\n"
    "app = typer.Typer(); app.command()(review); app()"
)


@pytest.fixture
def door(running: Running) -> Pass:
    return running.door


@pytest.fixture
def stranger(running: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.home) as client:
        yield client


@pytest.fixture
def browser(stranger: httpx.Client, door: Pass) -> httpx.Client:
    assert stranger.get(f"/?token={door.token}").status_code == 303
    return stranger


def from_page(client: httpx.Client) -> dict[str, str]:
    return {"Origin": str(client.base_url).rstrip("/")}


def choice(desk: ReviewDesk, decision: str, position: int = 0) -> tuple[str, dict[str, object]]:
    clip = desk.queue("quarantine")[position]
    body = {"decision": decision, "sha256": clip.sha256, "tier": clip.tier, "num_reviews": 0}
    return f"/clips/{clip.clip_id}/decision", body


def test_without_the_link_nothing_is_shown(stranger: httpx.Client, desk: ReviewDesk) -> None:
    clip = desk.queue("quarantine")[0].clip_id
    for path in ("/", "/queue", f"/clips/{clip}", f"/clips/{clip}/video", "/static/page.js"):
        assert stranger.get(path).status_code == 403
    path, body = choice(desk, "approve")
    assert stranger.post(path, json=body, headers=from_page(stranger)).status_code == 403
    assert desk.queue("quarantine")[0].clip_id == clip


def test_the_token_works_once(stranger: httpx.Client, door: Pass) -> None:
    assert stranger.get("/?token=guess").status_code == 403
    entered = stranger.get(f"/?token={door.token}")
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    cookie = entered.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert stranger.get("/").status_code == 200
    again = stranger.get(f"/?token={door.token}")
    assert again.status_code == 403
    assert "was used" in again.text
    stranger.cookies.clear()
    assert stranger.get("/").status_code == 403


def test_a_foreign_name_for_loopback_is_refused(browser: httpx.Client) -> None:
    port = browser.base_url.port
    assert port
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port + 1}"):
        assert browser.get("/", headers={"Host": host}).status_code == 421
    assert browser.get("/").status_code == 200


def test_a_post_from_elsewhere_decides_nothing(browser: httpx.Client, desk: ReviewDesk) -> None:
    path, body = choice(desk, "approve")
    for origin in ({}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
        assert browser.post(path, json=body, headers=origin).status_code == 403
    assert desk.queue("quarantine")[0].tier == "quarantine"
    assert browser.post(path, json=body, headers=from_page(browser)).json() == {
        "decision": "approve",
        "tier": "tpt",
    }


def test_every_answer_is_guarded(browser: httpx.Client) -> None:
    for answer in (browser.get("/"), browser.get("/queue"), browser.get("/clips/none")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_pages_hold_no_script_of_their_own(browser: httpx.Client, desk: ReviewDesk) -> None:
    pages = browser.get("/").text + browser.get(f"/clips/{desk.queue()[0].clip_id}").text
    assert pages.count("<script") == pages.count('<script src="/static/') == 1
    for forbidden in ("style=", "<style", "onclick", "http://", "https://"):
        assert forbidden not in pages


def test_a_clip_is_shown_with_what_was_found(browser: httpx.Client, desk: ReviewDesk) -> None:
    overlaid, _, faced = desk.queue("quarantine")
    shown = browser.get(f"/clips/{overlaid.clip_id}").text
    assert overlaid.instruction in shown
    assert f'data-sha256="{overlaid.sha256}"' in shown
    assert "overlay unread" in shown
    assert "personal" in shown
    assert 'data-no-approve=""' in shown
    assert "left in the written clip: 1" in browser.get(f"/clips/{faced.clip_id}").text


def test_the_sheet_outlines_findings(browser: httpx.Client, desk: ReviewDesk) -> None:
    overlaid, clean, _ = desk.queue("quarantine")
    sheets = []
    for clip in (overlaid, clean):
        answer = browser.get(f"/clips/{clip.clip_id}/sheet?columns=2")
        assert answer.headers["content-type"] == "image/jpeg"
        picture = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape[1] == 2 * 360 + 6
        sheets.append(picture.astype(int))
    green = [
        int(((sheet[..., 1] - sheet[..., 2] > 60) & (sheet[..., 1] - sheet[..., 0] > 40)).sum())
        for sheet in sheets
    ]
    assert green[0] > 1000 > green[1]


def test_the_clip_can_be_played_in_parts(browser: httpx.Client, desk: ReviewDesk) -> None:
    clip = desk.queue("p2ft")[0]
    whole = browser.get(f"/clips/{clip.clip_id}/video")
    assert whole.headers["content-type"] == "video/mp4"
    part = browser.get(f"/clips/{clip.clip_id}/video", headers={"Range": "bytes=0-9"})
    assert (part.status_code, part.content) == (206, whole.content[:10])


def test_bad_requests_are_named_and_decide_nothing(browser: httpx.Client, desk: ReviewDesk) -> None:
    path, body = choice(desk, "approve")
    unknown = browser.post("/clips/0000/decision", json=body, headers=from_page(browser))
    assert unknown.status_code == 404
    assert browser.get("/clips/0000").status_code == 404
    assert browser.get("/clips/..%2f..%2fsite.key").status_code in (404, 422)
    assert browser.get("/static/..%2f..%2fpage.py").status_code == 404
    for change in (
        {"decision": "maybe"},
        {"num_reviews": -1},
        {"extra": 1},
        {"reason": "Mary Poe"},
        {"tier": "gold"},
    ):
        answer = browser.post(path, json={**body, **change}, headers=from_page(browser))
        assert answer.status_code == 422
        assert "Poe" not in answer.text
    for change in ({"sha256": "0" * 64}, {"tier": "tpt"}, {"num_reviews": 1}):
        answer = browser.post(path, json={**body, **change}, headers=from_page(browser))
        assert answer.status_code == 409
    barred = choice(desk, "approve", position=2)
    refused = browser.post(barred[0], json=barred[1], headers=from_page(browser))
    assert refused.status_code == 409
    assert "left in the written clip: 1" in refused.json()["message"]
    assert len(desk.queue("quarantine")) == 3
    assert browser.post(path, json=body, headers=from_page(browser)).status_code == 200
    again = browser.post(path, json=body, headers=from_page(browser))
    assert again.status_code == 409
    assert "decided meanwhile" in again.json()["message"]


def test_a_changed_file_is_neither_shown_nor_decided_on(
    browser: httpx.Client, desk: ReviewDesk, site: Site
) -> None:
    path, body = choice(desk, "approve")
    clip_id = path.split("/")[2]
    (paths_of(site).held / f"{clip_id}.mp4").write_bytes(b"another")
    assert browser.get(f"/clips/{clip_id}/video").status_code == 409
    assert browser.get(f"/clips/{clip_id}/sheet").status_code == 409
    assert browser.post(path, json=body, headers=from_page(browser)).status_code == 409
    (paths_of(site).held / f"{clip_id}.mp4").unlink()
    assert browser.get(f"/clips/{clip_id}/video").status_code == 404


def test_a_full_disk_is_said_and_nothing_is_decided(
    browser: httpx.Client, desk: ReviewDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device", "/site/secret-name")

    monkeypatch.setattr("ophora_client.review.desk.move_file", refuse)
    path, body = choice(desk, "approve")
    answer = browser.post(path, json=body, headers=from_page(browser))
    assert answer.status_code == 507
    assert "secret" not in answer.text
    assert desk.queue("quarantine")[0].tier == "quarantine"


def test_logs_hold_ids_only(
    browser: httpx.Client, desk: ReviewDesk, caplog: pytest.LogCaptureFixture, door: Pass
) -> None:
    with caplog.at_level(logging.DEBUG, logger="ophora"):
        path, body = choice(desk, "reject")
        browser.post(path, json=body, headers=from_page(browser))
    said = " ".join(record.getMessage() for record in caplog.records if "ophora" in record.name)
    assert "decision=reject" in said
    assert "incision" not in said
    assert door.token not in said


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments], capture_output=True, text=True, timeout=60
    )


def test_the_command_names_what_is_wrong(site: Site) -> None:
    folder = str(site.folder)
    named = run_command("--site", folder, "--reviewer", "Mary Poe")
    assert named.returncode == 2
    assert "must not be a name" in " ".join(named.stderr.replace("│", " ").split())
    tier = run_command("--site", folder, "--tier", "gold")
    assert tier.returncode == 2
    site.manifest_path.unlink()
    empty = run_command("--site", folder, "--no-browser")
    assert (empty.returncode, "nothing curated yet" in empty.stdout) == (1, True)
    assert not site.manifest_path.exists()


@pytest.mark.slow
def test_ctrl_c_ends_the_command_at_once(site: Site) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "--site", str(site.folder), "--no-browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    link = process.stdout.readline().split()[-1]
    with httpx.Client(follow_redirects=True) as client:
        assert client.get(link).status_code == 200  # and its connection stays open
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
    assert process.returncode == 0
    assert errors == ""
    log = (site.folder / "logs" / "review.log").read_text()
    assert link.rpartition("=")[2] not in log + errors
