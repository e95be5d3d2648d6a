"""Logs, metrics and traces as commands give them, and the page whose tables are the code's."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from ophora_client.errors import SiteInvalid
from ophora_client.metrics import SITE_METRICS
from ophora_client.site import init_site
from ophora_deploy.site_cli import app as site_app
from ophora_privacy.watch.spans import TRACES_VARIABLE
from ophora_server.desk.password import PASSWORD_FILE, PasswordHash
from ophora_server.metrics import RUN_METRICS
from watched import tables

PAGE = Path(__file__).parents[2] / "docs" / "observability.md"
TABLES = tables(coordinator=RUN_METRICS, site=SITE_METRICS)
COMMAND = "from ophora_deploy.cli import main; main()"


@pytest.mark.parametrize("name", TABLES)
def test_the_page_holds_the_tables_of_the_code(name: str) -> None:
    """To renew: python tests/support/watched.py"""
    found = re.search(
        rf"<!-- {name} -->\n(.*?)\n<!-- end -->", PAGE.read_text(encoding="utf-8"), re.DOTALL
    )
    assert found is not None
    assert found[1] == TABLES[name]


def test_the_page_process_serves_metrics_and_logs_json(tmp_path: Path) -> None:
    PasswordHash.of("correct horse battery").write(tmp_path / PASSWORD_FILE)
    words = ["--log", "json", "federation", "page", "--run", str(tmp_path), "--metrics-port", "0"]
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            line = json.loads(process.stderr.readline())
            assert line["event"] == "metrics-served"
            page = process.stdout.readline().strip()
            text = httpx.get(f"http://127.0.0.1:{line['port']}/metrics").raise_for_status().text
            names = [family.name for family in text_string_to_metric_families(text)]
            assert names == ["ophora_sites_live"]
            assert "ophora_" not in httpx.get(f"{page}metrics").text  # behind the password or not
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)


def test_an_unknown_form_of_log_is_one_line() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", COMMAND, "--log", "xml", "site", "status", "--site", "x"],
        capture_output=True,
        text=True,
        env={**os.environ, "OPHORA_LOG": ""},
    )
    assert ended.returncode == 2
    assert ended.stderr.strip() == "error: OPHORA_LOG='xml': must be plain or json"


def test_a_site_does_not_start_with_its_traces_going_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    init_site(tmp_path / "site", code="site-a")
    monkeypatch.setenv(TRACES_VARIABLE, "http://collector.example:4318")
    words = ["serve", "--site", str(tmp_path / "site"), "--coordinator", "127.0.0.1:1"]
    result = CliRunner().invoke(site_app, [*words, "--authority", str(tmp_path / "ca.crt")])
    assert isinstance(result.exception, SiteInvalid)
    assert 'host "collector.example" is not this machine' in str(result.exception)
    assert not list((tmp_path / "site" / "logs").iterdir())
