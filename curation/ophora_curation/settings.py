"""How a site wants its videos curated: the `[curation]` table of site.toml.

The defaults are the paper's (section "Comprehensive Data Curation"): at least 720 x 480, clips of
about 5.5 s, frames as CogVideoX takes them (720 x 480 at 8 fps). Every key here can change what
comes out, and all of them are in `recipe()`, so a video is curated again exactly when its outcome
could differ. What changes only the speed is in execution.py.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ophora_curation.ranges import check_choice, check_range
from ophora_curation.text.refining import RefineSettings

RULES_VERSION = 3  # raise when a rule changes what comes out for the same video and settings


@dataclass(frozen=True, slots=True, kw_only=True)
class CurationSettings:
    """Limits for one site. Raises `SettingsError` for a value outside its range."""

    # source
    patient_from: str = "folder"
    decoder: str = "pyav"  # or "decord", in a process that can be killed
    min_width: int = 720
    min_height: int = 480
    max_pixels: int = 4096 * 4096  # of one picture; more is refused before decoding
    max_duration_s: float = 6 * 3600.0
    max_damaged_share: float = 0.25  # lost frames before the whole video is refused
    # clips
    min_clip_s: float = 2.0
    target_clip_s: float = 5.5
    max_clip_s: float = 10.0
    clip_width: int = 720  # a clip's picture is scaled down to fit; never up
    clip_height: int = 480
    clip_fps: float = 8.0  # frames are left out to reach it; 0 keeps the source's
    # shots
    shot_detector: str = "planes"  # or "pyscenedetect" (the paper's), "transnet"
    shot_threshold: float = 22.0  # pyscenedetect's content score of a cut, 0-255
    cut_min_difference: float = 5.0  # mean absolute difference of planes, 0-255
    cut_min_ratio: float = 2.2  # to the median of the frames around
    cut_min_decorrelation: float = 0.15  # 1 - correlation of luma
    dissolve_min_difference: float = 10.0  # of both ends of a linear blend, 0-255; 0: off
    # dynamics
    min_motion: float = 0.4  # percent of the picture's width a second; below: static
    max_motion: float = 60.0  # percent of the picture's width a second; above: violent
    max_frozen_s: float = 1.0  # longest allowed run of identical frames
    min_sharpness: float = 0.2  # of the video's own median; below: blurred
    black_luma: float = 20.0  # mean below: black, 0-255
    min_spread: float = 10.0  # standard deviation of luma below: flat
    max_bad_share: float = 0.15  # of a clip's frames that may be black or blurred
    min_field: float = 0.12  # share of the picture's middle that looks like an eye
    max_duplicate_distance: float = 8.0  # bits of 64 between two clips' frames; -1: off
    # speech
    speech_model: str = ""  # folder of a larger local model; "" is the embedded one
    max_no_speech: float = 0.6
    min_speech_logprob: float = -1.2
    min_word_probability: float = 0.05
    # picture
    text_score: float = 0.5  # of the text detector
    text_confidence: float = 0.6  # of a line that may count as read
    face_score: float = 0.3  # of the face detector
    crop_field: bool = True  # cut off what lies round the microscope's picture
    personal_overlay: str = "mask"  # or "quarantine"
    layouts: tuple[str, ...] = ()  # "1920x1080 0 0 1 0.07": masked in every video of that size
    only_known_layouts: bool = False  # quarantine videos of a size no layout names
    harmless_words: tuple[str, ...] = ()  # of the site's own logo, as read from its overlays

    def __post_init__(self) -> None:
        """Refuse what can't be honoured."""
        check_choice(self, "patient_from", "folder")
        check_choice(self, "decoder", "pyav", "decord")
        check_choice(self, "shot_detector", "planes", "pyscenedetect", "transnet")
        check_choice(self, "personal_overlay", "mask", "quarantine")
        for name, low, high in _RANGES:
            check_range(self, name, low, high)
        check_range(self, "target_clip_s", self.min_clip_s, self.max_clip_s)
        check_range(self, "max_clip_s", self.min_clip_s, 120.0)
        check_range(self, "min_motion", 0.0, self.max_motion)

    def recipe(self, refine: RefineSettings | None = None) -> str:
        """Hash of all that can change the outcome, and of the version of the rules."""
        said = (refine or RefineSettings()).outcome()
        text = json.dumps({"rules": RULES_VERSION, "refine": said, **asdict(self)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


_RANGES = (
    ("min_width", 16, 16384),
    ("min_height", 16, 16384),
    ("max_pixels", 256, 8192 * 8192),
    ("max_duration_s", 1.0, 7 * 86400.0),
    ("max_damaged_share", 0.0, 1.0),
    ("min_clip_s", 0.5, 60.0),
    ("clip_width", 64, 4096),
    ("clip_height", 48, 4096),
    ("clip_fps", 0.0, 120.0),
    ("shot_threshold", 1.0, 255.0),
    ("cut_min_difference", 0.5, 255.0),
    ("cut_min_ratio", 1.0, 100.0),
    ("cut_min_decorrelation", 0.0, 2.0),
    ("dissolve_min_difference", 0.0, 255.0),
    ("max_motion", 0.1, 10000.0),
    ("max_frozen_s", 0.1, 120.0),
    ("min_sharpness", 0.0, 1.0),
    ("black_luma", 0.0, 255.0),
    ("min_spread", 0.0, 255.0),
    ("max_bad_share", 0.0, 1.0),
    ("min_field", 0.0, 1.0),
    ("max_duplicate_distance", -1.0, 64.0),
    ("max_no_speech", 0.0, 1.0),
    ("min_speech_logprob", -10.0, 0.0),
    ("min_word_probability", 0.0, 1.0),
    ("text_score", 0.05, 1.0),
    ("text_confidence", 0.0, 1.0),
    ("face_score", 0.05, 1.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurationPaths:
    """Where the outcome goes; all of it is inside the site's own folder."""

    manifest: Path
    clips: Path  # what training may read
    held: Path  # clips in quarantine, for a person to look at
    certificates: Path
