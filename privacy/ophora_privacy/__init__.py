"""Per-patient differential privacy for adapter tuning, and the ledger of what a site has spent.

The unit of privacy is the patient: neighbouring data sets differ in all clips of one patient, added
or removed. A `PrivacyPlan` names the mechanism, `mechanism` applies it, `accountant` says what it
costs and `Ledger` refuses a round before it starts when the site's budget would be passed.
"""
