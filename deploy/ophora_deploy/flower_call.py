"""One call of Flower's command `flwr`, as a process of its own, and the JSON that it prints."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping
from typing import Any

from ophora_deploy.processes import installed_command

_LONGEST_S = 120.0


class FlowerCall:
    """Started when it is made."""

    def __init__(self, *words: str, env: Mapping[str, str]) -> None:
        self._deadline = time.monotonic() + _LONGEST_S
        self._process = subprocess.Popen(
            [installed_command("flwr"), *words, "--format", "json"],
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def is_over(self) -> bool:
        """Whether `answer` has it at once."""
        return self._process.poll() is not None or time.monotonic() >= self._deadline

    def answer(self) -> dict[str, Any]:
        """What it printed; an empty dict when that was no JSON, or nothing within two minutes."""
        try:
            left_s = max(0.0, self._deadline - time.monotonic())
            output, _ = self._process.communicate(timeout=left_s)
            return dict(json.loads(output))
        except (subprocess.TimeoutExpired, ValueError, TypeError):
            self.cancel()
            return {}

    def cancel(self) -> None:
        """End it, if it still runs."""
        self._process.kill()
        self._process.communicate()
