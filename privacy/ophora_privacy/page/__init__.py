"""What the read-only pages of both sides share: look, live refresh, and words for numbers.

It lies in the lowest layer since neither side may import the other.
"""
