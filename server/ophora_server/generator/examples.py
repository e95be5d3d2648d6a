"""Example prompts for the page: one for each of the twelve phases of cataract surgery.

They are worded as the sites' instructions are: the phase, then what is done.
"""

EXAMPLE_PROMPTS: tuple[tuple[str, str], ...] = (
    ("Incision", "Incision: make a clear corneal incision with the keratome."),
    ("Viscoelastic", "Viscoelastic: inject viscoelastic to fill the anterior chamber."),
    ("Capsulorhexis", "Capsulorhexis: tear a round opening in the capsule with the forceps."),
    ("Hydrodissection", "Hydrodissection: send fluid under the capsule to free the lens."),
    ("Phacoemulsification", "Phacoemulsification: break up the nucleus with the phaco tip."),
    ("Irrigation/aspiration", "Irrigation/aspiration: remove the cortex with the aspiration tip."),
    ("Capsule polishing", "Capsule polishing: polish the posterior capsule with a soft tip."),
    ("Lens implantation", "Lens implantation: inject the folded lens into the capsular bag."),
    ("Lens positioning", "Lens positioning: turn the lens with the hook until it is centred."),
    ("Viscoelastic suction", "Viscoelastic suction: aspirate the gel from the anterior chamber."),
    (
        "Anterior chamber flushing",
        "Anterior chamber flushing: wash out the anterior chamber with saline.",
    ),
    (
        "Tonifying and antibiotics",
        "Tonifying and antibiotics: hydrate the wound and inject antibiotics.",
    ),
)
