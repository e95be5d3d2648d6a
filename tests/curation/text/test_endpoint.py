import socket
import time
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from chat_server import Answer, ChatServer, says, sends, serve_chat
from ophora_curation.errors import EndpointRefused, RefinerFailed
from ophora_curation.text.endpoint import Endpoint
from ophora_curation.text.refining import RefineSettings

SAID = [{"role": "user", "content": "the wound is hydrated"}]
SECRET = "Brunhilde"


def _settings(url: str, **more: Any) -> RefineSettings:
    return RefineSettings(endpoint=url, model="small", **more)


def _resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Let every name resolve to these addresses; the names asked for, in order."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def answer(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name.replace(".", "").isdigit() or ":" in name:
            return real(host, port, *args, **options)
        asked.append(name)
        return [entry for one in addresses for entry in real(one, port, *args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return asked


def _failure(answer: Answer, **more: Any) -> str:
    with serve_chat(answer) as server:
        endpoint = Endpoint(_settings(server.url, **more))
        with pytest.raises(RefinerFailed) as failed:
            endpoint.chat(SAID, max_tokens=8)
    assert SECRET not in str(failed.value)
    return str(failed.value)


def test_a_question_is_deterministic_and_bounded() -> None:
    with serve_chat(says("hello")) as server:
        assert Endpoint(_settings(server.url)).chat(SAID, max_tokens=17) == "hello"
        asked = server.question()
    assert server.paths == ["/v1/chat/completions"]
    assert (asked["temperature"], asked["seed"], asked["max_tokens"]) == (0, 0, 17)
    assert (asked["model"], asked["messages"]) == ("small", SAID)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (SECRET.encode(), "no chat completion"),
        (b"[]", "no chat completion"),
        (b'{"choices": []}', "no chat completion"),
        (b"[" * 200_000, "no chat completion"),
        (b'{"choices": [{"message": {"content": null}}]}', "no text"),
    ],
)
def test_garbage_is_a_failure(body: bytes, said: str) -> None:
    assert said in _failure(sends(body))


def test_an_error_status_is_a_failure_without_its_body() -> None:
    assert "status 500" in _failure(sends(SECRET.encode(), status=500))


def test_a_redirect_is_not_followed() -> None:
    with serve_chat(says("from elsewhere")) as elsewhere:
        moved = sends(b"", status=307, headers=(("Location", elsewhere.url),))
        assert "status 307" in _failure(moved)
    assert not elsewhere.paths


def test_a_huge_answer_is_cut_off() -> None:
    sent = []

    def pour(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        for _ in range(200):
            request.wfile.write(b"x" * 1_000_000)
            sent.append(1)

    assert "larger than" in _failure(pour)
    assert len(sent) < 50


def test_a_compressed_answer_is_refused_unread() -> None:
    packed = sends(b"not gzip", headers=(("Content-Encoding", "gzip"),))
    assert "compressed" in _failure(packed)


@pytest.mark.parametrize("part", [b"", b"X-Slow: 1\r\n", b"HEADERS"])
def test_a_slow_answer_ends_with_the_time_allowed(part: bytes) -> None:
    """Silent, dripping headers for ever, and dripping its body for ever."""
    running: list[ChatServer] = []

    def drip(request: BaseHTTPRequestHandler) -> None:
        if part == b"HEADERS":
            request.send_response(200)
            request.end_headers()
        elif part:
            request.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not running[0].over.wait(0.1):
            request.wfile.write(part)

    with serve_chat(drip) as server:
        running.append(server)
        start = time.monotonic()
        with pytest.raises(RefinerFailed, match="in time"):
            Endpoint(_settings(server.url, timeout_s=1.0)).chat(SAID, max_tokens=8)
        assert time.monotonic() - start < 3.0


def test_a_server_that_is_down_is_a_failure() -> None:
    with serve_chat(says("")) as server:
        pass
    with pytest.raises(RefinerFailed, match="connected"):
        Endpoint(_settings(server.url)).chat(SAID, max_tokens=8)


@pytest.mark.parametrize(
    "host",
    ["8.8.8.8", "[2001:4860:4860::8888]", "[::ffff:8.8.8.8]", "134744072", "0.0.0.0", "100.64.0.1"],
)
def test_an_address_outside_the_site_is_refused(host: str) -> None:
    url = f"http://{host}:8000/v1"
    with pytest.raises(EndpointRefused, match="allowed_hosts") as refused:
        Endpoint(_settings(url))
    assert url in str(refused.value)


@pytest.mark.parametrize(
    "host",
    [
        *("10.1.2.3", "172.31.0.1", "192.168.1.9", "169.254.7.7", "[::1]", "[fd00::5]"),
        *("[fe80::1]", "[::ffff:10.0.0.1]"),
    ],
)
def test_an_address_of_the_site_is_accepted(host: str) -> None:
    Endpoint(_settings(f"http://{host}:8000/v1"))


def test_one_address_outside_among_several_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolve_to(monkeypatch, "10.0.0.1", "8.8.8.8")
    with pytest.raises(EndpointRefused, match=r"8\.8\.8\.8"):
        Endpoint(_settings("http://llm.hospital.test/v1"))


def test_allowed_hosts_permits_the_very_host_only(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolve_to(monkeypatch, "8.8.8.8")
    allowed = ("llm.cloud.test",)
    Endpoint(_settings("https://LLM.cloud.test/v1", allowed_hosts=allowed))
    for other in ("cloud.test", "x.llm.cloud.test", "llm.cloud.test.evil.test"):
        with pytest.raises(EndpointRefused):
            Endpoint(_settings(f"https://{other}/v1", allowed_hosts=allowed))


def test_a_name_that_moves_later_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_chat(says("hello")) as server:
        asked = _resolve_to(monkeypatch, "127.0.0.1")
        endpoint = Endpoint(_settings(f"http://llm.site.test:{server.port}/v1"))
        later = _resolve_to(monkeypatch, "8.8.8.8")
        assert endpoint.chat(SAID, max_tokens=8) == "hello"
    assert asked == ["llm.site.test"]
    assert later == []
    assert server.hosts == [f"llm.site.test:{server.port}"]


def test_a_name_that_resolves_later_is_checked_then(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolve_to(monkeypatch)
    endpoint = Endpoint(_settings("http://llm.site.test/v1"))
    with pytest.raises(RefinerFailed, match="resolved"):
        endpoint.chat(SAID, max_tokens=8)
    _resolve_to(monkeypatch, "8.8.8.8")
    with pytest.raises(RefinerFailed, match="outside"):
        endpoint.chat(SAID, max_tokens=8)


def test_the_next_address_is_tried_when_one_does_not_listen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serve_chat(says("hello")) as server:
        _resolve_to(monkeypatch, "127.0.0.2", "127.0.0.1")
        endpoint = Endpoint(_settings(f"http://localhost:{server.port}/v1"))
        assert endpoint.chat(SAID, max_tokens=8) == "hello"


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_chat(says("hello")) as server, serve_chat(says("proxy")) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "")
        assert Endpoint(_settings(server.url)).chat(SAID, max_tokens=8) == "hello"
    assert not proxy.paths


@pytest.mark.parametrize("more", [f"me:{SECRET}@127.0.0.1", f"127.0.0.1/v1?key={SECRET}"])
def test_secrets_in_the_address_are_refused_and_not_shown(more: str) -> None:
    with pytest.raises(EndpointRefused) as refused:
        Endpoint(_settings(f"http://{more}"))
    assert SECRET not in str(refused.value)
