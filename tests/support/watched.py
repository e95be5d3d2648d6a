"""Log lines and spans of a block, and the tables that docs/observability.md holds of the code.

python tests/support/watched.py prints the tables.
"""

import io
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ophora_privacy.watch.events import EVENTS
from ophora_privacy.watch.fields import CODES, FIELDS
from ophora_privacy.watch.log import Lines
from ophora_privacy.watch.metrics import Metric
from ophora_privacy.watch.otel import kept_in
from ophora_privacy.watch.spans import SPANS, use_traces


@contextmanager
def lines(kind: Any = "json") -> Iterator[io.StringIO]:
    """What the handler writes of the logger "ophora", every level."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Lines(kind))
    logger = logging.getLogger("ophora")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield stream
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def parsed(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@contextmanager
def spans() -> Iterator[InMemorySpanExporter]:
    """Every span that ended in the block."""
    exporter = InMemorySpanExporter()
    traces = kept_in(exporter, "ophora-test")
    use_traces(traces)
    try:
        yield exporter
    finally:
        use_traces(None)
        traces.close()


def tree(found: Sequence[ReadableSpan]) -> dict[str, str]:
    """Name of each span to its parent's, "" for a root."""
    names = {span.context.span_id: span.name for span in found if span.context is not None}
    return {
        span.name: "" if span.parent is None else names.get(span.parent.span_id, "elsewhere")
        for span in found
    }


def tables(**metrics: Sequence[Metric]) -> dict[str, str]:
    """Name of each table in the page to its rows."""
    fields = [f"| `{each.name}` | {each.values} | {each.meaning} |" for each in FIELDS.values()]
    made = {
        "fields": ["| field | values | meaning |", "|---|---|---|", *fields],
        "events": ["| event | told by: when |", "|---|---|", *_rows(EVENTS)],
        "spans": ["| span | side: what |", "|---|---|", *_rows(SPANS)],
        "codes": [", ".join(f"`{code}`" for code in CODES)],
    }
    for name, each in metrics.items():
        made[name] = ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
        made[name] += [
            f"| `{m.name}` | {m.kind} | {', '.join(f'`{x}`' for x in m.labels)} | {m.meaning} |"
            for m in each
        ]
    return {name: "\n".join(rows) for name, rows in made.items()}


def _rows(words: Any) -> list[str]:
    return [f"| `{name}` | {meaning} |" for name, meaning in words.items()]


if __name__ == "__main__":
    from ophora_client.metrics import SITE_METRICS
    from ophora_server.metrics import RUN_METRICS

    for name, table in tables(coordinator=RUN_METRICS, site=SITE_METRICS).items():
        print(f"<!-- {name} -->\n{table}\n<!-- end -->\n")  # noqa: T201
