"""The twelve phases of cataract surgery, in surgical order.

The keys follow Cataract-1K's phase list as the paper's prompts use it. They name a phase in
manifests, ground truth, reports and classifiers; the titles are for people.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

PHASES: Final[tuple[str, ...]] = (
    "incision",
    "viscoelastic",
    "capsulorhexis",
    "hydrodissection",
    "phacoemulsification",
    "irrigation_aspiration",
    "capsule_polishing",
    "lens_implantation",
    "lens_positioning",
    "viscoelastic_suction",
    "anterior_chamber_flushing",
    "tonifying_antibiotics",
)

PHASE_TITLES: Final = MappingProxyType(
    {
        "incision": "Incision",
        "viscoelastic": "Viscoelastic",
        "capsulorhexis": "Capsulorhexis",
        "hydrodissection": "Hydrodissection",
        "phacoemulsification": "Phacoemulsification",
        "irrigation_aspiration": "Irrigation/aspiration",
        "capsule_polishing": "Capsule polishing",
        "lens_implantation": "Lens implantation",
        "lens_positioning": "Lens positioning",
        "viscoelastic_suction": "Viscoelastic suction",
        "anterior_chamber_flushing": "Anterior chamber flushing",
        "tonifying_antibiotics": "Tonifying and antibiotics",
    }
)
