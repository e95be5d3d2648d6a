"""Errors of the model part.

ModelError
|-- UnknownPreset       choose one of those named
|-- BaseMissing         give the folder or install what is named
|-- AdapterMismatch     the tensors do not fit the announced adapter: do not load them
|-- PlanInvalid         a round plan or setting has an unknown key or a value out of range
|-- VideoUnreadable     a clip can't be decoded
|-- CacheUnreadable     a cache entry was spoilt or sealed with another key: delete, encode again
|-- NonFiniteLoss       tuning diverged: lower the learning rate; nothing was kept
`-- Cancelled           the caller asked to stop
"""


class ModelError(Exception):
    """Anything this package refuses; the message says what, the value and the remedy."""


class UnknownPreset(ModelError):
    """No preset has this name."""


class BaseMissing(ModelError):
    """The base weights are not where they should be, or are not what they should be."""


class AdapterMismatch(ModelError):
    """Names, shapes or values of adapter tensors differ from what was announced."""


class PlanInvalid(ModelError):
    """A plan has an unknown key, lacks one, or has a value out of range."""


class VideoUnreadable(ModelError):
    """A video file can't be decoded to the frames that were asked for."""


class CacheUnreadable(ModelError):
    """An entry of the latents cache can't be opened as what this site stored under its name."""


class NonFiniteLoss(ModelError):
    """The loss became NaN or infinite."""


class Cancelled(ModelError):
    """Stopped between two steps because the caller asked for it."""
