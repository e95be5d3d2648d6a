"""What can go wrong on the coordinator's side, shaped by what the caller can do next.

ServerError
  InvalidRequest       a request names something that is not offered: change the request
  UnknownVideo         no such video: it was never made or was deleted
  VideoNotReady        the video is queued, running, or failed: ask again, or read its error
  HostUnavailable      the generator host can't start: free the port, or name another release
"""


class ServerError(Exception):
    """Base of every error that ophora_server raises on purpose."""


class InvalidRequest(ServerError):
    """A request for a video that the host doesn't make; `param` names the field."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param


class UnknownVideo(ServerError):
    """No video has this id."""


class VideoNotReady(ServerError):
    """The video has no content yet, or never will."""


class HostUnavailable(ServerError):
    """The generator host can't be started as asked."""
