"""The front forwards the sites' calls and nothing else, whatever the path is dressed as."""

import asyncio
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from ophora_server import front


class Caller:
    """Calls the front in this process, with the path's bytes left as they are."""

    def __init__(self, app: Starlette) -> None:
        self._app = app

    def request(self, method: str, path: str, **given: object) -> httpx.Response:
        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._app)
            async with (
                self._app.router.lifespan_context(self._app),
                httpx.AsyncClient(transport=transport, base_url="https://front") as client,
            ):
                return await client.request(method, path, **given)  # type: ignore[arg-type]

        return asyncio.run(call())


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    return tmp_path / "wire.bin"


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch, recorded: Path) -> tuple[Caller, list[httpx.Request]]:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if request.url.path.endswith("down"):
            raise httpx.ConnectError("refused")
        return httpx.Response(207, content=b"reply", headers={"x-kept": "1"})

    class Upstream(httpx.AsyncClient):
        def __init__(self, **_: object) -> None:
            super().__init__(base_url="https://superlink", transport=httpx.MockTransport(answer))

    monkeypatch.setattr(front, "_MAX_BODY_BYTES", 1000)
    monkeypatch.setattr(front, "_open_upstream", lambda *_: Upstream())
    app = front.make_front("https://superlink", Path("ca.crt"), record=recorded)
    return Caller(app), seen


def test_forwards_the_sites_calls_unchanged(
    client: tuple[Caller, list[httpx.Request]], recorded: Path
) -> None:
    caller, seen = client
    answer = caller.request(
        "POST", "/v1/fleet/push-message", content=b"body", headers={"x-sig": "abc"}
    )
    assert (answer.status_code, answer.content) == (207, b"reply")
    assert answer.headers["x-kept"] == "1"
    assert seen[0].url.path == "/v1/fleet/push-message"
    assert (seen[0].content, seen[0].headers["x-sig"]) == (b"body", "abc")
    assert recorded.read_bytes() == b"body"
    assert caller.request("GET", "/health").status_code == 207


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/docs",
        "/openapi.json",
        "/healthz",
        "/v1/control/start-run",
        "/v1/runtime/acquire-task",
        "/v1/fleet",
        "/v1/fleet/",
        "/v1/fleet//control/start-run",
        "/v1/fleet/%2e%2e/control/start-run",
        "/v1/fleet/..%2fcontrol/start-run",
        "/v1/fleet/x%00",
        "/V1/fleet/x",
    ],
)
def test_forbids_everything_else(client: tuple[Caller, list[httpx.Request]], path: str) -> None:
    caller, seen = client
    for method in ("GET", "POST"):
        assert caller.request(method, path).status_code == 403
    assert not seen


def test_bounds_the_body_and_reports_an_absent_coordinator(
    client: tuple[Caller, list[httpx.Request]],
) -> None:
    caller, seen = client
    assert caller.request("POST", "/v1/fleet/x", content=b"x" * 1001).status_code == 413
    assert not seen
    assert caller.request("POST", "/v1/fleet/down").status_code == 502
