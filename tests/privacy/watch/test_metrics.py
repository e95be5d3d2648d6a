"""Metrics as values, and the listener over real HTTP."""

import http.client
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families

from ophora_privacy.errors import FieldRefused, WatchRefused
from ophora_privacy.watch.fields import STRICT_VARIABLE
from ophora_privacy.watch.listener import serving_metrics
from ophora_privacy.watch.metrics import Histogram, Metric
from watched import lines, parsed

BYTES = Metric(name="x_bytes_total", kind="counter", labels=("site",), meaning="bytes")


class _Collector:
    fails: Exception | None = None

    def collect(self) -> Iterator[Family]:
        if self.fails is not None:
            raise self.fails
        yield BYTES.family({("site-a",): 3.0, ("site-b",): 4.0})


def test_a_histogram_counts_up_to_each_bound_and_gains_values() -> None:
    made = Histogram.of([0.5, 1.0, 3.0, 100.0], (1.0, 5.0))
    assert made.buckets() == [("1.0", 2.0), ("5.0", 3.0), ("+Inf", 4.0)]
    assert made.total == 104.5
    assert made.with_value(2.0).buckets() == [("1.0", 2.0), ("5.0", 4.0), ("+Inf", 5.0)]
    empty = Histogram(bounds=(1.0,))
    assert empty.buckets() == [("1.0", 0.0), ("+Inf", 0.0)]
    assert empty.with_value(1.0).buckets() == [("1.0", 1.0), ("+Inf", 1.0)]


def test_a_label_is_a_listed_field_and_its_values_pass_the_same_seam(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(FieldRefused, match="label patient"):
        Metric(name="x", kind="gauge", labels=("patient",), meaning="")
    with pytest.raises(FieldRefused):
        BYTES.family({("Mrs Whitcombe",): 1.0})
    monkeypatch.delenv(STRICT_VARIABLE)
    made = BYTES.family({("Mrs Whitcombe",): 1.0, ("Mr Whitcombe",): 2.0})
    assert [(sample.labels, sample.value) for sample in made.samples] == [({"site": "withheld"}, 3)]


def test_metrics_are_read_over_http_and_parse() -> None:
    with serving_metrics(_Collector(), 0) as port:
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics")
    (family,) = text_string_to_metric_families(answer.text)
    assert {s.labels["site"]: s.value for s in family.samples} == {"site-a": 3.0, "site-b": 4.0}
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/metrics")


def test_only_metrics_and_only_by_a_name_of_loopback() -> None:
    with serving_metrics(_Collector(), 0) as port:
        for host, path, status in (
            (f"localhost:{port}", "/metrics", 200),
            (f"rebound.example:{port}", "/metrics", 403),
            ("127.0.0.1", "/metrics", 403),
            (f"127.0.0.1:{port}", "/", 404),
        ):
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.request("GET", path, headers={"Host": host})
            assert connection.getresponse().status == status
            connection.close()


def test_a_source_that_fails_says_nothing_of_why() -> None:
    failing = _Collector()
    failing.fails = OSError("/videos/WHITCOMBE")
    with lines() as stream, serving_metrics(failing, 0) as port:
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics")
    assert answer.status_code == 503
    assert "WHITCOMBE" not in answer.text + stream.getvalue()
    assert [line["event"] for line in parsed(stream)] == ["metrics-served", "metrics-unread"]


def test_a_port_that_is_taken_is_named() -> None:
    with serving_metrics(_Collector(), 0) as port:
        message = f"--metrics-port {port}: can't be used"
        with pytest.raises(WatchRefused, match=message), serving_metrics(_Collector(), port):
            pass
