"""What can go wrong here, shaped by what the caller can do next.

PrivacyError
|-- InvalidPlan           a setting is outside its range: correct the plan
|-- NonFiniteGradient     a gradient holds NaN or infinity: stop the round
|-- PatientsMiscounted    a step has not one gradient for each patient: stop the round
|-- BudgetExceeded        the site's budget would be passed: decline the round
|-- LedgerUnavailable     the ledger can't be read or written now: mend that, change no file
|-- LedgerCorrupt         the ledger's chain is broken: stop, restore the file from a backup
|-- RecordRefused         a signed record is not what its signer wrote: get the original
|-- MessageRefused        a secure sum's message is not what it should be: drop it, answer nothing
|-- TooFewSites           a secure sum has lost too many sites: give the round up, plan another
|-- InputRefused          values that a secure sum can't carry: correct them at the site
|-- FieldRefused          a log line, span or metric holds what is on no list: leave it out
`-- WatchRefused          logs, metrics or traces can't be set up as asked: correct the option
"""


class PrivacyError(Exception):
    """Base of every error of this package; the message says what, the value and the remedy."""


class InvalidPlan(PrivacyError):
    """A privacy setting can't be honoured."""


class NonFiniteGradient(PrivacyError):
    """A gradient that can't be clipped, since its norm is not a number."""


class PatientsMiscounted(PrivacyError):
    """A step whose gradients are not one for each patient drawn; no noise was drawn for it."""


class BudgetExceeded(PrivacyError):
    """The round would spend more than the site grants per patient for life."""


class LedgerUnavailable(PrivacyError):
    """The ledger is absent, locked or can't be written; nothing may train.

    Not a reason for a backup's copy, which forgets what was spent since.
    """


class LedgerForeign(PrivacyError):
    """The ledger was made for another site: what this site spent is not in it."""


class LedgerClock(PrivacyError):
    """The clock says a time before the ledger's last entry; one of the two is wrong."""


class LedgerRolledBack(PrivacyError):
    """The chain holds, but once was longer or another: an old copy forgets what was spent since."""


class LedgerTruncated(PrivacyError):
    """The file was told of more entries than it holds."""


class LedgerCorrupt(PrivacyError):
    """An entry of the ledger was changed, removed or reordered after it was written."""


class RecordRefused(PrivacyError):
    """A signed record is malformed, changed, or signed by another key."""


class MessageRefused(PrivacyError):
    """A message of a secure sum is malformed, forged, changed, replayed or out of turn.

    The receiver has not answered it and has revealed nothing; its state is as it was before.
    """


class TooFewSites(PrivacyError):
    """Fewer sites are left than the secure sum needs; no site's input was revealed."""


class InputRefused(PrivacyError):
    """Values with NaN, a wrong name, shape or type, or outside the announced range."""


class FieldRefused(PrivacyError):
    """A value that may not be told. Quotes no value. Raised in strict mode alone."""


class WatchRefused(PrivacyError):
    """An option of logs, metrics or traces that can't be honoured; nothing is told by it."""
