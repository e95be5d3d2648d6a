"""Where every system part is installed (OPHORA_NO_SKIPS=1), a test that is left out has failed.

What no installation changes (rights of the user, of the kernel) says so: "not possible here: ...".
"""

import os
from collections.abc import Generator
from typing import Any

import pytest

os.environ.setdefault("OPHORA_LOG_STRICT", "1")  # what may not be told raises
_NO_SKIPS = bool(os.environ.get("OPHORA_NO_SKIPS"))
_ALLOWED = "not possible here:"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    left_out = report.skipped and not hasattr(report, "wasxfail")
    if _NO_SKIPS and left_out and _ALLOWED not in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"left out, where nothing may be: {report.longrepr}"
    return report
