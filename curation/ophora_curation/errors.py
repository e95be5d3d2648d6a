"""What curation raises.

    CurationError
    |-- SettingsError        a setting is unknown or out of range: correct the file
    |   `-- EndpointRefused  an address outside the site's network that no policy names
    |-- NotAFolder           the video folder does not exist: correct the path
    |-- CurationBusy         another run curates the same site: wait, or stop it
    |-- ManifestError        the manifest is of another version or damaged
    |-- StoreFull            the disk is full or read-only: make room and run again
    |-- DetectorMissing      a model file is absent or not the pinned one: reinstall
    |-- RefinerFailed        the site's own endpoint did not answer as it must: its clips are held
    `-- VideoRefused         one video can't be used; the run goes on (`reason` is a closed word)

No message holds narration, a file name or a path inside the video folder: they are personal data.
"""


class CurationError(Exception):
    """Base of everything this package raises on purpose."""


class SettingsError(CurationError):
    """A setting that can't be honoured; the message names key, value and what is allowed."""


class EndpointRefused(SettingsError):
    """The endpoint lies outside the site's network, and `allowed_hosts` does not name it."""


class NotAFolder(CurationError):
    """The folder of videos is missing or is not a folder."""


class CurationBusy(CurationError):
    """The site's curation lock is held by another process."""


class ManifestError(CurationError):
    """The manifest can't be opened by this version."""


class DetectorMissing(CurationError):
    """A detector's model is missing or differs from its pinned hash; its clips go to quarantine."""


class StoreFull(CurationError):
    """Clips or manifest can't be written; nothing that was finished is lost."""


class RefinerFailed(CurationError):
    """The endpoint is down, slow or answers nonsense; what depends on it is held."""


class VideoRefused(CurationError):
    """One video is refused; `reason` goes to the manifest."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
