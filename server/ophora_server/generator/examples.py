"""Example prompts for the page: one for each of the twelve phases of cataract surgery."""

EXAMPLE_PROMPTS: tuple[tuple[str, str], ...] = (
    ("Incision", "The surgeon makes a clear corneal incision with a keratome."),
    ("Viscoelastic", "Viscoelastic is injected to fill the anterior chamber."),
    ("Capsulorhexis", "Forceps tear a continuous circular opening in the lens capsule."),
    ("Hydrodissection", "A cannula sends fluid under the capsule to free the lens."),
    ("Phacoemulsification", "The phaco tip breaks up the cloudy lens and takes it out."),
    ("Irrigation and aspiration", "Irrigation and aspiration removes the remaining cortex."),
    ("Capsule polishing", "The posterior capsule is polished with a soft tip."),
    ("Lens implantation", "A folded lens is injected and opens in the capsular bag."),
    ("Lens positioning", "A hook turns the new lens until it sits in the centre."),
    ("Viscoelastic suction", "The viscoelastic is sucked out of the anterior chamber."),
    ("Anterior chamber flushing", "The anterior chamber is flushed with balanced salt solution."),
    ("Tonifying and antibiotics", "The wound is hydrated and antibiotic drops are given."),
)
