"""The site's own language model: chat completions at an address inside the site's network.

Whatever the configuration says, a connection goes to an address that was checked: the name is
resolved once, each of its addresses must be the site's own, and that address is connected to (the
name stays in the Host header and in TLS), so that a name server can't move it elsewhere later. No
proxy, no redirect, no compressed answer. Errors say what kind of failure it was, never content.
"""

import ipaddress
import json
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from threading import Timer
from typing import Any

import httpx

from ophora_curation.errors import EndpointRefused, RefinerFailed
from ophora_curation.text.refining import RefineSettings

_MAX_ANSWER_BYTES = 1_000_000
_SEED = 0
_SITE_NETWORKS = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("127.0.0.0/8", "::1/128"),  # this machine
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),  # private
        *("169.254.0.0/16", "fe80::/10"),  # link-local
    )
)
_REMEDY = (
    "use an address of the site's own network (loopback, private or link-local), or name the host "
    "in allowed_hosts of [refine] where the site's policy permits it"
)


class Endpoint:
    """An OpenAI-compatible server. Raises `EndpointRefused` when it lies outside the site.

    A name that can't be resolved yet is resolved, and checked, at the first question.
    """

    def __init__(self, settings: RefineSettings) -> None:
        self._settings = settings
        self._url = _parse_url(settings.endpoint)
        self._addresses = self._resolve()
        self._tls = ssl.create_default_context() if self._url.scheme == "https" else None

    def chat(
        self, messages: Sequence[Mapping[str, Any]], *, max_tokens: int, model: str = ""
    ) -> str:
        """The answer of the model (default: the settings'), asked for as a JSON object.

        Raises `RefinerFailed` on every failure; the whole exchange may take `timeout_s`.
        """
        question = {
            "model": model or self._settings.model,
            "messages": list(messages),
            "max_tokens": max_tokens,
            "temperature": 0,
            "seed": _SEED,
            "stream": False,
            "response_format": {"type": "json_object"},
        }
        deadline = time.monotonic() + self._settings.timeout_s
        for address in self._checked_addresses():
            try:
                return _content(self._exchange(address, question, deadline))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue  # localhost is ::1 and 127.0.0.1: the server may listen on one
            except (httpx.HTTPError, OSError, RuntimeError) as error:
                late = isinstance(error, httpx.TimeoutException) or time.monotonic() >= deadline
                kind = "did not answer in time" if late else "broke the connection"
                message = f"endpoint {kind}"
                raise RefinerFailed(message) from None
        raise RefinerFailed("endpoint can't be connected to")

    def _exchange(self, address: str, question: Mapping[str, Any], deadline: float) -> bytes:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise RefinerFailed("endpoint did not answer in time")
        path = f"{self._url.path.rstrip('/')}/chat/completions"
        with httpx.Client(
            trust_env=False,
            follow_redirects=False,
            timeout=left_s,
            verify=self._tls if self._tls else False,  # no TLS at all with http://
        ) as client:
            # timeouts hold for one read each: a server that drips bytes needs an end of its own
            clock = Timer(left_s, client.close)
            clock.daemon = True
            clock.start()
            try:
                with client.stream(
                    "POST",
                    self._url.copy_with(host=address, path=path),
                    json=question,
                    headers={
                        "Host": self._url.netloc.decode("ascii"),
                        "Accept-Encoding": "identity",
                    },
                    extensions={"sni_hostname": self._url.raw_host.decode("ascii")},
                ) as response:
                    return _read(response, deadline)
            finally:
                clock.cancel()

    def _checked_addresses(self) -> tuple[str, ...]:
        if not self._addresses:
            try:
                self._addresses = self._resolve()
            except EndpointRefused:
                raise RefinerFailed("endpoint lies outside the site's network") from None
        if not self._addresses:
            raise RefinerFailed("endpoint's name can't be resolved")
        return self._addresses

    def _resolve(self) -> tuple[str, ...]:
        """Every address of the host, checked; none when its name can't be resolved."""
        host = self._url.raw_host.decode("ascii")
        try:
            found = socket.getaddrinfo(host, self._url.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return ()
        addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
        if host in {allowed.lower() for allowed in self._settings.allowed_hosts}:
            return addresses
        for address in addresses:
            if not _is_of_site(address):
                message = (
                    f'endpoint="{self._settings.endpoint}": its address {address} is outside the '
                    f"site's network: {_REMEDY}"
                )
                raise EndpointRefused(message)
        return addresses


def _parse_url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.userinfo or url.query or url.fragment:
        message = "endpoint: must hold no user, password, query or fragment: leave them out"
        raise EndpointRefused(message)
    if url.scheme not in ("http", "https") or not url.raw_host:
        message = f'endpoint="{text}": must be a URL like http://127.0.0.1:8000/v1'
        raise EndpointRefused(message)
    return url


def _is_of_site(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return any(parsed in network for network in _SITE_NETWORKS)


def _read(response: httpx.Response, deadline: float) -> bytes:
    """The body. Raises `RefinerFailed` on every status but 200 and on one that is too large."""
    if response.status_code != httpx.codes.OK:
        message = f"endpoint answered with status {response.status_code}"
        raise RefinerFailed(message)
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise RefinerFailed("endpoint compressed its answer unasked")
    body = bytearray()
    for part in response.iter_raw():
        body += part
        if len(body) > _MAX_ANSWER_BYTES:
            message = f"endpoint's answer is larger than {_MAX_ANSWER_BYTES} bytes"
            raise RefinerFailed(message)
        if time.monotonic() > deadline:
            raise RefinerFailed("endpoint did not answer in time")
    return bytes(body)


def _content(body: bytes) -> str:
    try:
        content = json.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        raise RefinerFailed("endpoint's answer is no chat completion") from None
    if not isinstance(content, str):
        raise RefinerFailed("endpoint's answer holds no text")
    return content
