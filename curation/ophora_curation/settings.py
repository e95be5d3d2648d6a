"""How a site wants its videos curated: the `[curation]` table of site.toml.

The defaults are the paper's (section "Comprehensive Data Curation"): at least 720 x 480, clips of
about 5.5 s. `recipe()` covers all that changes the result and nothing that changes only the speed,
so a video is curated again exactly when its outcome could differ.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ophora_curation.errors import SettingsError

RULES_VERSION = 1  # raise when a rule changes what comes out for the same video and settings
_SPEED_ONLY = frozenset({"workers", "video_timeout_s"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CurationSettings:
    """Limits for one site. Raises `SettingsError` for a value outside its range."""

    min_width: int = 720
    min_height: int = 480
    min_clip_s: float = 2.0
    target_clip_s: float = 5.5
    max_clip_s: float = 10.0
    shot_threshold: float = 22.0  # PySceneDetect content score of a cut, 0-255
    min_motion: float = 0.4  # percent of the picture's width a second; below: static
    max_motion: float = 60.0  # percent of the picture's width a second; above: violent
    max_frozen_s: float = 1.0  # longest allowed run of identical frames
    min_sharpness: float = 0.2  # of the video's own median; below: blurred
    max_damaged_share: float = 0.01  # undecodable packets before the video is refused
    patient_from: str = "folder"
    harmless_words: tuple[str, ...] = ()  # of the site's own logo, as read from its overlays
    speech_threads: int = 1
    workers: int = 1
    video_timeout_s: float = 3600.0

    def __post_init__(self) -> None:
        """Refuse what can't be honoured."""
        _check(self, "min_width", 16, 16384)
        _check(self, "min_height", 16, 16384)
        _check(self, "min_clip_s", 0.5, 60.0)
        _check(self, "target_clip_s", self.min_clip_s, self.max_clip_s)
        _check(self, "max_clip_s", self.min_clip_s, 120.0)
        _check(self, "shot_threshold", 1.0, 255.0)
        _check(self, "min_motion", 0.0, self.max_motion)
        _check(self, "max_motion", 0.1, 10000.0)
        _check(self, "max_frozen_s", 0.1, 120.0)
        _check(self, "min_sharpness", 0.0, 1.0)
        _check(self, "max_damaged_share", 0.0, 1.0)
        _check(self, "speech_threads", 1, 64)
        _check(self, "workers", 1, 256)
        _check(self, "video_timeout_s", 1.0, 86400.0)
        if self.patient_from != "folder":
            message = f'patient_from="{self.patient_from}": must be one of "folder"'
            raise SettingsError(message)

    def recipe(self) -> str:
        """Hash of every setting that can change the outcome, and of the version of the rules."""
        kept = {key: value for key, value in asdict(self).items() if key not in _SPEED_ONLY}
        text = json.dumps({"rules": RULES_VERSION, **kept}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurationPaths:
    """Where the outcome goes; both are inside the site's own folder."""

    manifest: Path
    clips: Path


def _check(settings: CurationSettings, name: str, low: float, high: float) -> None:
    value = getattr(settings, name)
    kind = next(field.type for field in fields(settings) if field.name == name)
    wanted = int if kind in (int, "int") else (int, float)
    if isinstance(value, bool) or not isinstance(value, wanted) or not low <= value <= high:
        word = "a whole number" if wanted is int else "a number"
        message = f"{name}={value!r}: must be {word} from {low:g} to {high:g}"
        raise SettingsError(message)
