"""The newest receipt of each site's ledger, held where the site can't lose it.

    reply -> receipt -> compared with the one held -> RUN/receipts/CODE.json -> the next request

A site whose disk was restored from a backup has a ledger that holds together and has forgotten what
was spent since. Its receipt then goes back in number or names another ledger: its update is not
counted, and the site itself, which is sent the receipt that is held here, declines the next round.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ophora_model.draft import write_whole
from ophora_privacy.errors import InvalidPlan
from ophora_privacy.ledger_head import LedgerReceipt
from ophora_server.errors import ReceiptRefused


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptBook:
    """Receipts by site code in one folder."""

    folder: Path

    def held(self, site: str) -> str:
        """The receipt held of a site, as JSON; empty where there is none."""
        path = self._path(site)
        return path.read_text(encoding="ascii") if path.exists() else ""

    def take(self, site: str, text: str) -> None:
        """Keep a site's newest receipt. Raises ReceiptRefused where it goes behind the one held."""
        try:
            receipt = LedgerReceipt.from_json(text)
            held = LedgerReceipt.from_json(self.held(site)) if self.held(site) else None
        except InvalidPlan as error:
            raise ReceiptRefused(f"site {site}: {error}") from error
        if held is not None and not _follows(receipt, held):
            raise ReceiptRefused(
                f"site {site}: its ledger is at entry {receipt.seq} where {held.seq} were seen, or"
                " is another one; ask the site to put its newest copy back"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._path(site), receipt.to_json().encode())

    def _path(self, site: str) -> Path:
        return self.folder / f"{site}.json"


def _follows(receipt: LedgerReceipt, held: LedgerReceipt) -> bool:
    if receipt.ledger_id != held.ledger_id or receipt.seq < held.seq:
        return False
    return receipt.seq > held.seq or receipt.head_hash == held.head_hash
