"""What can go wrong in an audit, shaped by what the caller can do next.

PrivacyError
|-- AuditInvalid     a figure, score or setting is outside its range: correct it, measure again
`-- GroupTooSmall    too few patients for a figure that may leave a site: hold out more patients
"""

from ophora_privacy.errors import PrivacyError


class AuditInvalid(PrivacyError):
    """A value of an audit is not what it must be."""


class GroupTooSmall(PrivacyError):
    """A group has fewer patients than an aggregate over it may be made of."""
