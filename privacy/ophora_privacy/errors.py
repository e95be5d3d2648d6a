"""What can go wrong here, shaped by what the caller can do next.

PrivacyError
|-- InvalidPlan           a setting is outside its range: correct the plan
|-- NonFiniteGradient     a gradient holds NaN or infinity: stop the round
|-- BudgetExceeded        the site's budget would be passed: decline the round
|-- LedgerUnavailable     the ledger can't be read or written now: mend that, change no file
`-- LedgerCorrupt         the ledger's chain is broken: stop, restore the file from a backup
"""


class PrivacyError(Exception):
    """Base of every error of this package; the message says what, the value and the remedy."""


class InvalidPlan(PrivacyError):
    """A privacy setting can't be honoured."""


class NonFiniteGradient(PrivacyError):
    """A gradient that can't be clipped, since its norm is not a number."""


class BudgetExceeded(PrivacyError):
    """The round would spend more than the site grants per patient for life."""


class LedgerUnavailable(PrivacyError):
    """The ledger is absent, locked or can't be written; nothing may train.

    Not a reason for a backup's copy, which forgets what was spent since.
    """


class LedgerCorrupt(PrivacyError):
    """An entry of the ledger was changed, removed or reordered after it was written."""
