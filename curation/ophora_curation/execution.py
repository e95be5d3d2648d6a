"""How fast and within which limits curation runs: the `[execution]` table of site.toml.

Nothing here changes what comes out for a video that finishes.
"""

from dataclasses import dataclass

from ophora_curation.ranges import check_choice, check_range


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionSettings:
    """Limits of the worker processes. Raises `SettingsError` for a value outside its range."""

    executor: str = "process"  # or "ray"
    ray_address: str = ""  # "" starts Ray on this machine
    workers: int = 1  # videos at a time
    speech_threads: int = 1
    video_timeout_s: float = 3600.0  # per video and stage; then its worker is killed
    analysis_memory_mb: int = 1024  # address space of a worker that only looks
    memory_mb: int = 6144  # address space of a worker with models

    def __post_init__(self) -> None:
        """Refuse what can't be honoured."""
        check_choice(self, "executor", "process", "ray")
        check_range(self, "workers", 1, 256)
        check_range(self, "speech_threads", 1, 64)
        check_range(self, "video_timeout_s", 1.0, 86400.0)
        check_range(self, "analysis_memory_mb", 256, 65536)
        check_range(self, "memory_mb", 1024, 1 << 20)
