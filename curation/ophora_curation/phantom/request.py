"""What is asked of the phantom: one frozen, validated value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as value_field
from pathlib import Path

from ophora_curation.phantom.errors import InvalidRequest, UnknownPhase
from ophora_curation.phases import PHASES

SHARES = (
    *("speech_share", "overlay_share", "personal_overlay_share", "fault_share"),
    *("blend_share", "elderly_share", "copy_share"),
)
FIELDS = ("full", "circle")
IDENTITIES = ("plain", "full")


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomRequest:
    """A set of videos. The same request gives the same frames, subtitles and truth.

    `weights` say how often each phase occurs (missing: 1, or 0 when any is given); `phases`
    restricts the choice. Shares are of videos (`speech_share`: no subtitle file, only the voice)
    or of segments (the others). `voice=False` leaves the voice out of the sound.

    `identities="full"` also writes hospital, phone and age into overlays, file names and tags, and
    burns the data in as patient_overlay.py does. `elderly_share` is of patients, who are then over
    89; `blend_share` of the passages between segments, which then dissolve or fade through black;
    `copy_share` of videos, which then have a second file of the same operation in another size.
    `field="circle"` shows the eye in a round microscope picture on black. `rotation` is a flag that
    players obey; the picture it gives is upright. `variable_rate` leaves out and repeats frames.
    """

    out: Path
    patients: int
    seed: int
    size: tuple[int, int] = (192, 128)  # width, height
    fps: int = 8
    phases: tuple[str, ...] = PHASES
    weights: Mapping[str, float] = value_field(default_factory=dict)
    speech_share: float = 0.2
    overlay_share: float = 0.25
    personal_overlay_share: float = 0.06
    fault_share: float = 0.1
    cases_per_patient: int = 1
    segments: tuple[int, int] = (5, 12)
    voice: bool = True
    workers: int = 1
    identities: str = "plain"
    elderly_share: float = 0.0
    blend_share: float = 0.0
    copy_share: float = 0.0
    field: str = "full"
    rotation: int = 0  # degrees, counter-clockwise as FFmpeg counts
    variable_rate: bool = False
    bit_rate: int = 0  # most bits a second for the pictures, as a recorder has; 0: no limit

    def __post_init__(self) -> None:
        for name, low, high in (
            ("patients", 1, 100_000),
            ("seed", 0, 2**63),
            ("fps", 2, 60),
            ("cases_per_patient", 1, 100),
            ("workers", 1, 256),
            ("bit_rate", 0, 200_000_000),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise InvalidRequest(f"{name}={value}: must be from {low} to {high}")
        width, height = self.size
        if not (64 <= width <= 3840 and 48 <= height <= 2160 and width % 2 == height % 2 == 0):
            raise InvalidRequest(f"size={width}x{height}: must be even and from 64x48 to 3840x2160")
        if not 1 <= self.segments[0] <= self.segments[1] <= 200:
            raise InvalidRequest(f"segments={self.segments}: must be 1 <= fewest <= most <= 200")
        for name, allowed in (
            ("identities", IDENTITIES),
            ("field", FIELDS),
            ("rotation", (0, 90, 180, 270)),
        ):
            if getattr(self, name) not in allowed:
                choices = ", ".join(map(str, allowed))
                raise InvalidRequest(f"{name}={getattr(self, name)!r}: must be one of {choices}")
        self._check_shares()
        self._check_phases()

    def phase_weights(self) -> list[tuple[str, float]]:
        """The phases that can occur, in surgical order, each with a positive weight."""
        rest = 0.0 if self.weights else 1.0
        pairs = [(phase, float(self.weights.get(phase, rest))) for phase in PHASES]
        return [(phase, weight) for phase, weight in pairs if phase in self.phases and weight > 0]

    def _check_shares(self) -> None:
        for name in SHARES:
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise InvalidRequest(f"{name}={value}: must be from 0 to 1")
        both = self.overlay_share + self.personal_overlay_share
        if both > 1.0:
            raise InvalidRequest(
                f"overlay_share + personal_overlay_share = {both}: must be at most 1"
            )
        if self.speech_share > 0 and not self.voice:
            raise InvalidRequest(
                f"speech_share={self.speech_share} with voice=False: needs a voice; set it to 0"
            )

    def _check_phases(self) -> None:
        for phase in (*self.phases, *self.weights):
            if phase not in PHASES:
                raise UnknownPhase(phase)
        for phase, weight in self.weights.items():
            if not (math.isfinite(weight) and weight >= 0):
                raise InvalidRequest(f"weights[{phase}]={weight}: must be finite and >= 0")
        if not self.phase_weights():
            raise InvalidRequest("weights: at least one of the chosen phases needs a weight > 0")
