"""A chat-completions server on the loopback address that answers as a test wants it to."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass(slots=True)
class ChatServer:
    """Where it listens, and what arrived: raw bodies, paths and Host headers in order."""

    port: int
    bodies: list[bytes] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def question(self) -> Any:
        """The last request's body."""
        return json.loads(self.bodies[-1])


def says(content: object) -> Answer:
    """A well-formed completion whose text is the content, or the content as JSON."""
    text = content if isinstance(content, str) else json.dumps(content)
    body = json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]})
    return sends(body.encode())


def sends(body: bytes, *, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """These bytes."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    return answer


@contextmanager
def serve_chat(answer: Answer) -> Iterator[ChatServer]:
    """Serve on a free port until the block ends; `over` is set then, for answers that wait."""
    listening = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server = ChatServer(port=listening.server_address[1])

    class _Request(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            server.paths.append(self.path)
            server.hosts.append(self.headers["Host"])
            server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                answer(self)
            except OSError:
                self.close_connection = True  # the client had enough

        do_GET = do_POST

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    listening.RequestHandlerClass = _Request
    listening.daemon_threads = True
    thread = threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        listening.shutdown()
        listening.server_close()
        thread.join()
