"""Parts of the curation benchmark: each `measure(*, quick, folder, seed)` returns its goals.

`folder` is the part's own, empty, and deleted afterwards; `seed` makes the material.
"""
