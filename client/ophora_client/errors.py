"""What can go wrong at a site, shaped by what the caller can do next.

ClientError
  Declined             the site won't take part in this round; only its code leaves
  EgressRefused        an outgoing message holds what may not leave: nothing was sent
  TrainerUnavailable   the resident trainer doesn't answer: start it, or read its log
  SentLogBroken        the record of what left is not what was written: nothing leaves until it is
  SiteMissing          there is no site in the folder: run `ophora site init`
  SiteExists           there is a site in the folder already: its key must not be replaced
  SiteInvalid          site.toml or site.key is not as it must be: correct the file
"""


class ClientError(Exception):
    """Base of every error that ophora_client raises on purpose."""


class Declined(ClientError):
    """The round is declined with one of `ophora_client.egress.DECLINE_CODES`.

    The message is for the site's own log; only `code` is sent.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class EgressRefused(ClientError):
    """A message differs from the closed schema of what a site may send."""


class TrainerUnavailable(ClientError):
    """No trainer listens on the site's socket."""


class SentLogBroken(ClientError):
    """The log of sent messages was changed or cut; put the newest copy back."""


class SiteMissing(ClientError):
    """The folder holds no site."""


class SiteExists(ClientError):
    """The folder holds a site already, and nothing was changed."""


class SiteInvalid(ClientError):
    """The site's settings or key can't be honoured; names key, value and what is allowed."""
