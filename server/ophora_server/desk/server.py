"""The page as a process: loopback, or elsewhere over TLS, until Ctrl-C."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from cryptography import x509
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse
from starlette.types import ASGIApp

from ophora_privacy.watch.log import Log
from ophora_server.desk.access import Address, Guard
from ophora_server.desk.board import Board
from ophora_server.desk.errors import PageRefused
from ophora_server.desk.login import Login
from ophora_server.desk.page import login_router, page_router
from ophora_server.desk.password import PasswordHash
from ophora_server.desk.sessions import Sessions
from ophora_server.generator.caller import is_loopback
from ophora_server.registry.errors import RegistryError

_LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
_ANYWHERE = frozenset({"0.0.0.0", "::"})  # what to listen on, not what to be called
_LOG = Log("desk")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where the page listens; elsewhere than on loopback it needs both files of TLS."""

    host: str = "127.0.0.1"
    port: int = 0
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise PageRefused("--certificate and --key: give both, or neither")
        if self.certificate is None and not is_loopback(self.host):
            raise PageRefused(
                f"--host {self.host}: not loopback, so a password would cross the network in the"
                " open; add --certificate and --key, or leave --host out"
            )

    def names(self) -> frozenset[str]:
        """What browsers may call it. Raises PageRefused where the certificate can't be used."""
        named = set() if self.host in _ANYWHERE else {_bracketed(self.host)}
        if is_loopback(self.host):
            named |= _LOOPBACK_NAMES
        if self.certificate is not None and self.key is not None:
            named |= _certified_names(self.certificate, self.key)
        return frozenset(name.lower() for name in named)


def make_app(board: Board, login: Login, sessions: Sessions, address: Address) -> ASGIApp:
    """The application behind its guard."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.include_router(login_router(login, sessions, address))
    app.include_router(page_router(board))

    @app.exception_handler(RegistryError)
    def unreadable(_: Request, error: Exception) -> PlainTextResponse:
        _LOG.failed("page-unread", error)
        return PlainTextResponse(str(error), 503)

    @app.exception_handler(OSError)
    def disk(_: Request, error: Exception) -> PlainTextResponse:
        _LOG.failed("page-unread", error)
        return PlainTextResponse("the run's folder can't be read; mend that", 503)

    @app.exception_handler(RequestValidationError)
    def malformed(_: Request, __: Exception) -> PlainTextResponse:
        return PlainTextResponse("not a request that the page makes", 404)

    return Guard(app, address=address, sessions=sessions)


def serve(
    board: Board,
    password: PasswordHash,
    listening: Listening,
    *,
    announce: Callable[[str], None],
) -> None:
    """Serve until Ctrl-C; `announce` is given the URL once the port is open. Raises PageRefused."""
    names = listening.names()
    with contextlib.closing(board), _listen(listening) as listener:
        address = Address(
            names=names,
            port=int(listener.getsockname()[1]),
            is_tls=listening.certificate is not None,
        )
        app = make_app(board, Login(password), Sessions(), address)
        # no access log: its lines would hold addresses of callers
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=2,
            ssl_certfile=listening.certificate,
            ssl_keyfile=listening.key,
        )
        shown = min(names) if listening.host in _ANYWHERE else _bracketed(listening.host)
        announce(f"{address.scheme}://{shown}:{address.port}/")
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def _bracketed(host: str) -> str:
    """As a URL writes it."""
    return f"[{host}]" if ":" in host else host


def _listen(listening: Listening) -> socket.socket:
    family = socket.AF_INET6 if ":" in listening.host else socket.AF_INET
    try:
        return socket.create_server((listening.host, listening.port), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or "out of range"
        raise PageRefused(
            f"--host {listening.host} --port {listening.port}: can't be used ({reason}); name"
            " another"
        ) from error


def _certified_names(certificate: Path, key: Path) -> set[str]:
    """The names in the certificate, once it is sure that the two belong together."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key, password="")  # never asks on the terminal
        first = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
        found = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound) as error:
        raise PageRefused(
            "--certificate and --key: can't be used together, or name no host; give a PEM"
            " certificate with its names and its key without a passphrase"
        ) from error
    names = {str(name) for name in found.get_values_for_type(x509.DNSName)}
    names.update(_bracketed(str(each)) for each in found.get_values_for_type(x509.IPAddress))
    return names
