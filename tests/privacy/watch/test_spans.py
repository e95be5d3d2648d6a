"""Spans in a real OpenTelemetry SDK: their tree, their attributes, and nothing while off."""

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from ophora_privacy.errors import WatchRefused
from ophora_privacy.watch.fields import STRICT_VARIABLE
from ophora_privacy.watch.otel import OtelTraces
from ophora_privacy.watch.spans import (
    TRACES_VARIABLE,
    carried,
    span,
    start_traces,
    stop_traces,
    trace_address,
    use_traces,
)
from watched import spans, tree

PLANTED = "Eleanor Whitcombe"
STANDARD = "OTEL_EXPORTER_OTLP_ENDPOINT"


def test_spans_have_their_tree_and_allowed_attributes() -> None:
    with spans() as exporter, span("round", run="demo", round=1), span("ask-site", site="site-a"):
        pass
    found = exporter.get_finished_spans()
    assert tree(found) == {"ask-site": "round", "round": ""}
    ask, whole = found
    assert dict(ask.attributes or {}) == {"ophora.site": "site-a"}
    assert dict(whole.attributes or {}) == {"ophora.run": "demo", "ophora.round": 1}
    assert dict(whole.resource.attributes) == {"service.name": "ophora-test"}  # no host, no user


def test_an_errors_text_is_in_no_span() -> None:
    with spans() as exporter, pytest.raises(ValueError, match=PLANTED), span("round"):
        raise ValueError(PLANTED)
    (found,) = exporter.get_finished_spans()
    assert dict(found.attributes or {}) == {"ophora.error": "ValueError"}
    assert found.events == ()
    assert found.status.status_code is StatusCode.ERROR
    assert "Whitcombe" not in found.to_json()


def test_a_name_in_a_field_is_in_no_span(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(STRICT_VARIABLE)
    with spans() as exporter, span("round", site=PLANTED, narration=PLANTED), span(PLANTED):
        pass
    assert not [each for each in exporter.get_finished_spans() if "Whitcombe" in each.to_json()]


def test_a_span_goes_on_in_another_process() -> None:
    with spans() as exporter:
        with span("round"):
            parent = carried()
        with span("train", parent=parent):
            pass
        with span("train", parent=f"{PLANTED}"):
            pass
    first, second, third = exporter.get_finished_spans()
    assert second.parent is not None
    assert second.context.trace_id == first.context.trace_id
    assert second.parent.span_id == first.context.span_id
    assert third.parent is None


def test_nothing_is_registered_for_other_libraries_to_use() -> None:
    from opentelemetry import trace

    with spans() as exporter, trace.get_tracer("another").start_as_current_span("theirs"):
        pass
    assert exporter.get_finished_spans() == ()


@pytest.mark.parametrize(
    ("asked", "standard", "address"),
    [
        ("", "", ""),
        ("0", "http://127.0.0.1:4318", ""),
        ("1", "", "http://127.0.0.1:4318/v1/traces"),
        ("", "http://127.0.0.1:9/", "http://127.0.0.1:9/v1/traces"),
        ("1", "http://127.0.0.1:9", "http://127.0.0.1:9/v1/traces"),
        ("https://[::1]:7/v1/traces", "http://other", "https://[::1]:7/v1/traces"),
    ],
)
def test_the_environment_turns_traces_on(
    monkeypatch: pytest.MonkeyPatch, asked: str, standard: str, address: str
) -> None:
    monkeypatch.setenv(TRACES_VARIABLE, asked)
    monkeypatch.setenv(STANDARD, standard)
    assert trace_address() == address


def test_what_is_no_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRACES_VARIABLE, "yes please")
    with pytest.raises(WatchRefused, match="must be 0, 1 or an address"):
        start_traces("x")


def test_a_refused_address_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(address: str) -> str:
        raise WatchRefused("no")

    monkeypatch.setenv(TRACES_VARIABLE, "http://127.0.0.1:9")
    with pytest.raises(WatchRefused):
        start_traces("x", refuse)
    assert carried() == ""


OFF = """
import sys
import ophora_server.rounds, ophora_client.trainer, ophora_client.local_round
from ophora_privacy.watch.spans import span, start_traces
assert start_traces("x") is False
with span("round", round=1):
    pass
loaded = [name for name in sys.modules if name.startswith(("opentelemetry", "prometheus"))]
assert loaded == [], loaded
"""
ABSENT = """
import sys
sys.modules["opentelemetry"] = None
from ophora_privacy.watch.log import start_logging
from ophora_privacy.watch.spans import span, start_traces
start_logging()
assert start_traces("x") is False
with span("round", round=1):
    pass
"""


def _run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if k not in (TRACES_VARIABLE, STANDARD)}
    return subprocess.run(
        [sys.executable, "-c", code], env={**kept, **variables}, capture_output=True, text=True
    )


def test_while_off_neither_opentelemetry_nor_prometheus_is_imported() -> None:
    ended = _run(OFF)
    assert ended.returncode == 0, ended.stderr


def test_without_the_packages_a_line_says_so_and_the_work_goes_on() -> None:
    ended = _run(ABSENT, **{TRACES_VARIABLE: "1"})
    assert ended.returncode == 0, ended.stderr
    assert "traces-off code=package-missing" in ended.stderr


def test_spans_reach_a_collector_over_http_and_no_proxy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    got: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", f"patient={PLANTED.replace(' ', '-')}")
    monkeypatch.setenv(TRACES_VARIABLE, f"http://127.0.0.1:{server.server_port}")
    try:
        assert start_traces("ophora-coordinator")
        with span("round", run="demo", round=1):
            pass
        stop_traces()
    finally:
        use_traces(None)
        server.shutdown()
        thread.join()
        server.server_close()
    ((path, body),) = got
    assert path == "/v1/traces"
    assert b"ophora-coordinator" in body
    assert b"ophora.run" in body
    assert b"Whitcombe" not in body


def test_traces_close_with_what_is_left() -> None:
    exporter = InMemorySpanExporter()
    use_traces(OtelTraces(SimpleSpanProcessor(exporter), "x"))
    with span("round"):
        pass
    stop_traces()
    assert carried() == ""
    assert len(exporter.get_finished_spans()) == 1
