"""Where metrics are read: `/metrics` on loopback and nowhere else, without a password.

The listener answers programs of this machine that call it by a name of loopback; a web page that
a browser here was lured to, under a name that resolves to loopback, is refused.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.registry import Collector

from ophora_privacy.errors import WatchRefused
from ophora_privacy.watch.log import Log

HOST = "127.0.0.1"
_NAMES = ("127.0.0.1", "localhost")
_READ_S = 10.0

_LOG = Log("watch")
_Start = Callable[..., Any]


@contextmanager
def serving_metrics(collector: Collector, port: int) -> Iterator[int]:
    """Serve what `collector` gives while the block runs; the port, a free one for 0.

    Raises WatchRefused where the port can't be had.
    """
    try:
        server = make_server(HOST, port, _guarded(collector), _Server, _Handler)
    except (OSError, OverflowError) as error:
        raise WatchRefused(
            f"--metrics-port {port}: can't be used ({type(error).__name__}); name another"
        ) from error
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    _LOG.info("metrics-served", port=server.server_port)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _guarded(collector: Collector) -> Callable[[dict[str, Any], _Start], Iterable[bytes]]:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    inner = make_wsgi_app(registry)

    def answer(environ: dict[str, Any], start: _Start) -> Iterable[bytes]:
        names = [f"{name}:{environ['SERVER_PORT']}" for name in _NAMES]
        if environ.get("HTTP_HOST", "").lower() not in names:
            return _plain(start, "403 Forbidden", "only called by a name of loopback")
        if environ.get("PATH_INFO") != "/metrics":
            return _plain(start, "404 Not Found", "metrics are at /metrics")
        try:
            body: Iterable[bytes] = inner(environ, start)
        except Exception as error:  # the thread's edge: what it says is not for the caller
            _LOG.failed("metrics-unread", error)
            return _plain(start, "503 Service Unavailable", "not to be read now")
        return body

    return answer


def _plain(start: _Start, status: str, text: str) -> list[bytes]:
    start(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{text}\n".encode()]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False  # a reader that never ends its request keeps nobody

    def server_bind(self) -> None:
        """As HTTPServer's, which asks a name server for the host's name."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = HOST, int(self.server_address[1])
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that went away; nothing of it is worth a line."""


class _Handler(WSGIRequestHandler):
    timeout = _READ_S

    def log_message(self, format: str, *arguments: Any) -> None:
        """No line a request."""
