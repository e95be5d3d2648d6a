"""What a running federation may tell of itself: lines, spans and metrics of listed fields.

    values -> `fields.allowed` -> `log` (lines), `spans` (traces), `metrics` (figures on loopback)

Both sides use it, so it lies in the lowest layer. A value that is not on the list goes nowhere.
"""
