"""Where every system part is installed (OPHORA_NO_SKIPS=1), a test that is left out has failed."""

import os
from collections.abc import Generator
from typing import Any

import pytest

_NO_SKIPS = bool(os.environ.get("OPHORA_NO_SKIPS"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if _NO_SKIPS and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"left out, where nothing may be: {report.longrepr}"
    return report
