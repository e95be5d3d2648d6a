"""Audits of an adapter at a site: attacks, canaries and likenesses, as arrays of figures.

Data path: cached clips and generated videos -> scores and distances here -> figures with intervals
in ophora_privacy.audit. What these modules return is of single clips and must not leave the site.
"""
