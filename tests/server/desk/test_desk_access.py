"""Who gets in: password, sessions, names, origins, headers."""

import logging
import os
import stat
from pathlib import Path

import httpx
import pytest

from ophora_server.desk.access import Address
from ophora_server.desk.errors import PageRefused
from ophora_server.desk.login import LONGEST_WAIT_S, Login
from ophora_server.desk.password import PasswordHash
from ophora_server.desk.server import Listening
from ophora_server.desk.sessions import SESSION_S, Sessions
from ophora_server.run_record import open_registry

PARTS = ("live", "sites", "rounds", "charts", "releases", "audit")
RIGHT = "correct horse battery"


def test_without_a_session_nothing_is_shown(stranger: httpx.Client, running) -> None:
    answer = stranger.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    for path in (*(f"/parts/{name}" for name in PARTS), "/pictures/0/0", "/docs", "/openapi.json"):
        assert stranger.get(path).status_code == 401
    assert running.post(stranger, "/logout").status_code == 401
    shown = stranger.get("/login").text
    assert "site-a" not in shown
    assert "run-1" not in shown


def test_a_wrong_password_is_refused_and_slows_the_next(
    stranger: httpx.Client, running, clock, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = running.post(stranger, "/login", password="wrong horse battery")
    assert (wrong.status_code, wrong.headers["retry-after"]) == (403, "1")
    assert "set-cookie" not in wrong.headers
    early = running.post(stranger, "/login", password=RIGHT)
    assert early.status_code == 403
    clock.now += 1.0
    entered = running.post(stranger, "/login", password=RIGHT)
    assert entered.status_code == 303
    cookie = entered.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "secure" not in cookie
    assert "horse" not in caplog.text


def test_bodies_that_are_no_form_are_wrong_passwords(
    stranger: httpx.Client, running, clock
) -> None:
    headers = {"Origin": running.home}
    for body in (b"", b"\xff\xfe", b"password=" + b"x" * 20_000, b"a=1&b=2&c=3&d=4", b"{}"):
        clock.now += 1000
        assert stranger.post("/login", content=body, headers=headers).status_code == 403


def test_the_wait_grows_and_is_forgotten_after_the_right_one(password: PasswordHash, clock) -> None:
    login = Login(password, clock=clock)
    waits = []
    for _ in range(5):
        answer = login.attempt("x", "192.0.2.1")
        waits.append(answer.wait_s)
        clock.now += answer.wait_s
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert login.attempt(RIGHT, "192.0.2.1").is_right
    assert login.attempt("x", "192.0.2.1").wait_s == 1.0


def test_another_address_does_not_wait_but_the_same_network_does(
    password: PasswordHash, clock
) -> None:
    login = Login(password, clock=clock)
    login.attempt("x", "2001:db8::1")
    assert not login.attempt(RIGHT, "2001:db8::2").is_right
    assert login.attempt(RIGHT, "2001:db8:0:1::2").is_right
    assert login.attempt(RIGHT, "192.0.2.1").is_right


def test_the_longest_wait_is_bounded(
    password: PasswordHash, clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PasswordHash, "matches", lambda *_: False)
    login = Login(password, clock=clock)
    for _ in range(40):
        answer = login.attempt("x", "192.0.2.1")
        clock.now += answer.wait_s
    assert answer.wait_s == LONGEST_WAIT_S


def test_a_session_ends_by_itself(browser: httpx.Client, clock) -> None:
    assert browser.get("/").status_code == 200
    clock.now += SESSION_S + 1
    assert browser.get("/parts/live").status_code == 401
    assert browser.get("/").status_code == 303


def test_a_logout_ends_the_session_and_takes_a_post(browser: httpx.Client, running) -> None:
    held = dict(browser.cookies)
    assert browser.get("/logout").status_code in (404, 405)
    assert browser.get("/").status_code == 200
    assert running.post(browser, "/logout").status_code == 303
    browser.cookies.update(held)
    assert browser.get("/").status_code == 303


def test_tokens_are_not_guessed_and_old_sessions_make_room(clock) -> None:
    sessions = Sessions(clock=clock)
    tokens = [sessions.open() for _ in range(65)]
    assert not sessions.admits(tokens[0])
    assert sessions.admits(tokens[-1])
    assert not sessions.admits("")
    assert len(set(tokens)) == 65


def test_a_foreign_name_for_this_address_is_refused(browser: httpx.Client) -> None:
    port = browser.base_url.port
    assert port
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port + 1}"):
        assert browser.get("/", headers={"Host": host}).status_code == 421
        assert browser.get("/login", headers={"Host": host}).status_code == 421
    assert browser.get("/login", headers={"Host": f"LOCALHOST:{port}"}).status_code == 200


def test_names_of_a_certificate_stand_for_one_label() -> None:
    address = Address(names={"*.hospital.example", "[::1]"}, port=443, is_tls=True)
    assert address.is_own("page.hospital.example")
    assert address.is_own("page.hospital.example:443")
    assert address.is_own("[::1]")
    assert address.is_own("[::1]:443")
    for host in ("a.b.hospital.example", "hospital.example", ".hospital.example", "", "[::2]:443"):
        assert not address.is_own(host)


def test_a_post_from_elsewhere_does_nothing(browser: httpx.Client, running) -> None:
    for headers in ({}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
        assert browser.post("/logout", headers=headers).status_code == 403
        form = {"password": RIGHT}
        assert browser.post("/login", data=form, headers=headers).status_code == 403
    assert browser.get("/").status_code == 200
    for method in ("PUT", "PATCH", "DELETE"):
        assert browser.request(method, "/", headers={"Origin": running.home}).status_code == 405


def test_every_answer_is_guarded(browser: httpx.Client) -> None:
    for path in ("/", "/login", "/parts/live", "/parts/none", "/static/page.js"):
        headers = browser.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"


def test_pages_hold_no_script_style_or_address_of_elsewhere(browser: httpx.Client) -> None:
    shown = browser.get("/").text + browser.get("/login").text
    assert shown.count("<script") == shown.count('<script src="/static/') == 1
    for forbidden in ("style=", "<style", "onclick", "http://", "https://", ">None<"):
        assert forbidden not in shown


def test_every_part_of_the_page_is_a_fragment(browser: httpx.Client) -> None:
    whole = " ".join(browser.get("/").text.split())
    for name in PARTS:
        answer = browser.get(f"/parts/{name}")
        assert answer.status_code == 200
        assert "<html" not in answer.text
        assert " ".join(answer.text.split())[:80] in whole
    for path in ("/parts/none", "/parts/..%2fpage", "/static/page.py", "/static/..%2fpage.py"):
        assert browser.get(path).status_code == 404
    for path in ("/pictures/0/0", "/pictures/0/-1", "/pictures/0/x"):
        assert browser.get(path).status_code == 404


def test_no_path_and_no_reason_is_shown(browser: httpx.Client, running) -> None:
    running.run.record("failed", reason=f"{running.run.path}/secret: held")
    shown = browser.get("/").text
    assert "stopped" in shown
    assert str(running.run.path) not in shown
    assert "secret" not in shown


def test_a_log_that_was_edited_is_said_not_to_verify(browser: httpx.Client, running) -> None:
    with open_registry(running.run) as registry, registry.database.writing() as connection:
        connection.exec_driver_sql("UPDATE audit_log SET body = '[' WHERE seq > 10")
    shown = browser.get("/parts/audit").text
    assert "does not verify" in shown
    assert "verify-log" in shown
    assert "unreadable" in shown


def test_a_registry_that_can_not_be_read_is_said_without_paths(
    browser: httpx.Client, running, caplog: pytest.LogCaptureFixture
) -> None:
    file = running.run.registry / "registry.sqlite"
    for each in file.parent.glob("registry.sqlite-*"):
        each.unlink()
    file.write_bytes(b"not a database" * 1000)
    with caplog.at_level(logging.DEBUG, logger="ophora"):
        answer = browser.get("/parts/rounds")
    assert answer.status_code == 503
    assert str(running.run.path) not in answer.text + caplog.text


def test_the_password_file_is_salted_and_private(tmp_path: Path, password: PasswordHash) -> None:
    path = tmp_path / "page.password"
    password.write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "horse" not in path.read_text()
    read = PasswordHash.read(path)
    assert read.matches(RIGHT)
    assert not read.matches("correct horse batterx")
    assert PasswordHash.of(RIGHT).hash != password.hash
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"n": 3, "r": 8, "p": 1, "salt": "", "hash": ""}']
)
def test_a_password_file_that_was_not_written_so_names_the_remedy(tmp_path: Path, text) -> None:
    path = tmp_path / "page.password"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(PageRefused, match="page-password"):
        PasswordHash.read(path)


def test_a_password_file_is_there_and_not_for_others(
    tmp_path: Path, password: PasswordHash
) -> None:
    path = tmp_path / "page.password"
    with pytest.raises(PageRefused, match=r"not there.*page-password"):
        PasswordHash.read(path)
    password.write(path)
    os.chmod(path, 0o640)
    with pytest.raises(PageRefused, match="others may read"):
        PasswordHash.read(path)


def test_a_short_password_is_refused() -> None:
    with pytest.raises(PageRefused, match="12 or more"):
        PasswordHash.of("eleven char")
    with pytest.raises(PageRefused, match="1024 bytes"):
        PasswordHash.of("x" * 1025)


def test_elsewhere_than_on_loopback_it_takes_tls(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "page.example"):
        with pytest.raises(PageRefused, match="add --certificate and --key"):
            Listening(host=host)
    with pytest.raises(PageRefused, match="both, or neither"):
        Listening(certificate=tmp_path / "cert.pem")
    missing = Listening(host="0.0.0.0", certificate=tmp_path / "a.pem", key=tmp_path / "b.pem")
    with pytest.raises(PageRefused, match="can't be used together"):
        missing.names()
