"""The review page's real server in a thread, on a free port."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn

from ophora_client.loopback.access import OnlyLocal, Pass
from ophora_client.loopback.server import listen
from ophora_client.review.desk import ReviewDesk
from ophora_client.review.server import make_app


@dataclass(frozen=True)
class Running:
    """Where it listens, and the door that its link opens."""

    home: str
    door: Pass


@contextmanager
def review_server(desk: ReviewDesk) -> Iterator[Running]:
    listener = listen(0)
    port, door = listener.getsockname()[1], Pass()
    app = OnlyLocal(
        make_app(desk, tier="quarantine", code="site-a", reviewer="r-1"), port=port, door=door
    )
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none")
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield Running(home=f"http://127.0.0.1:{port}", door=door)
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()
