"""Audits: what an attacker can tell from a release, as figures with intervals.

Data path: scores of an attack (made elsewhere, at a site) -> `membership_figures`,
`canary_figures`, `replication_figures` -> `SiteAudit`, the only thing that leaves the site. An
audit can prove that a promise is broken; passing one proves nothing, and the ledger's epsilon
stays the contract.
"""
