"""What can go wrong on the coordinator's side, shaped by what the caller can do next.

ServerError
  InvalidRequest       a request names something that is not offered: change the request
  UnknownVideo         no such video: it was never made or was deleted
  VideoNotReady        the video is queued, running, or failed: ask again, or read its error
  ForeignCaller        a web page from elsewhere called: call from this machine
  QueueFull            too many videos wait: ask again later
  HostUnavailable      the generator host can't start: free the port, or name another release
  InvalidFederation    federation.toml or the run's folder is not as it must be: correct it
  RunBusy              another process runs this run's rounds: wait, or stop it
  UpdateRejected       a site's update must not be averaged: it is left out
  ReceiptRefused       a site's ledger has forgotten what it spent: it must be mended there
  QuorumMissed         too few sites answered: resume when they are back
  RunFailed            the rounds ended before their end: read the reason, then resume
  RecordInvalid        evidence, policy, approval or roster can't be used: make it again
  ReleaseHeld          the gate does not hold: read its rows
  ReleaseUntrusted     a published folder is not what a trusted key signed: fetch it again
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


class ForeignCaller(ServerError):
    """A web page from elsewhere, or a proxy that doesn't say it is local, called the host."""


class QueueFull(ServerError):
    """The queue holds as many waiting videos as it may."""


class HostUnavailable(ServerError):
    """The generator host can't be started as asked."""


class InvalidFederation(ServerError):
    """What the run is asked to do can't be done as written."""


class RunBusy(ServerError):
    """The run's lock is held."""


class UpdateRejected(ServerError):
    """Wrong names, shapes or type, not finite, or beyond the norm bound."""


class ReceiptRefused(ServerError):
    """A site's receipt goes behind the one that is held of its ledger."""


class QuorumMissed(ServerError):
    """A round had fewer sites or updates than `min_sites`; nothing of it was kept."""


class RunFailed(ServerError):
    """The coordinator's rounds stopped with an error."""


class RecordInvalid(ServerError):
    """A record of the release gate is unreadable, not canonical, or not signed as it must be."""


class ReleaseHeld(ServerError):
    """The release gate does not hold; nothing was published."""


class ReleaseUntrusted(ServerError):
    """A published release was changed, or signed by nobody who is trusted."""
