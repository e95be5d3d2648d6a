"""Federations, sites, runs, rounds with all that belongs to them, and the audit log."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables that rounds need."""
    _make_members()
    _make_rounds()
    _make_receipts()
    op.create_table(
        "audit_log",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit_log"),
    )


def _make_members() -> None:
    op.create_table(
        "federations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_federations"),
        sa.UniqueConstraint("name", name="uq_federations_name"),
    )
    op.create_table(
        "sites",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("federation_id", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(32), nullable=False),
        sa.Column("key_fingerprint", sa.String(64), nullable=False),
        sa.Column("joined", sa.Float(), nullable=False),
        sa.Column("approved", sa.Float()),
        sa.Column("revoked", sa.Float()),
        sa.Column("last_contact", sa.Float()),
        sa.Column("software", sa.String(64)),
        sa.Column("budget_epsilon", sa.Float()),
        sa.Column("budget_delta", sa.Float()),
        sa.PrimaryKeyConstraint("id", name="pk_sites"),
        _foreign("sites", "federation_id", "federations.id"),
        sa.UniqueConstraint("federation_id", "code", name="uq_sites_federation_id_code"),
        sa.UniqueConstraint(
            "federation_id", "key_fingerprint", name="uq_sites_federation_id_key_fingerprint"
        ),
    )


def _make_rounds() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("federation_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("identity", sa.String(64), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        _foreign("runs", "federation_id", "federations.id"),
        sa.UniqueConstraint("federation_id", "name", name="uq_runs_federation_id_name"),
    )
    op.create_table(
        "adapters",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("num_bytes", sa.BigInteger(), nullable=False),
        sa.Column("shapes_digest", sa.String(64), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_adapters"),
    )
    op.create_table(
        "rounds",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("stage", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("plan_digest", sa.String(64)),
        sa.Column("started", sa.Float()),
        sa.Column("finished", sa.Float()),
        sa.Column("participants", sa.Integer()),
        sa.Column("bytes_sent", sa.BigInteger()),
        sa.Column("bytes_received", sa.BigInteger()),
        sa.Column("update_norm", sa.Float()),
        sa.Column("adapter_digest", sa.String(64)),
        sa.Column("metrics", sa.JSON()),
        sa.PrimaryKeyConstraint("id", name="pk_rounds"),
        _foreign("rounds", "run_id", "runs.id"),
        _foreign("rounds", "adapter_digest", "adapters.digest"),
        sa.UniqueConstraint("run_id", "number", name="uq_rounds_run_id_number"),
        sa.CheckConstraint(
            "state IN ('planned', 'open', 'finished', 'abandoned')", name="ck_rounds_state"
        ),
        sa.CheckConstraint(
            "(state = 'finished') = (adapter_digest IS NOT NULL)", name="ck_rounds_whole"
        ),
    )
    op.create_table(
        "server_states",
        sa.Column("round_id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("num_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("round_id", name="pk_server_states"),
        _foreign("server_states", "round_id", "rounds.id"),
    )


def _make_receipts() -> None:
    op.create_table(
        "receipts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("round_id", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(32), nullable=False),
        sa.Column("num_bytes", sa.BigInteger(), nullable=False),
        sa.Column("bytes_sent", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("update_digest", sa.String(64)),
        sa.Column("arrived", sa.Float()),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_receipts"),
        _foreign("receipts", "round_id", "rounds.id"),
        _foreign("receipts", "site_id", "sites.id"),
        sa.UniqueConstraint(
            "round_id", "attempt", "site_id", name="uq_receipts_round_id_attempt_site_id"
        ),
    )
    op.create_index(
        "uq_receipts_counted",
        "receipts",
        ["round_id", "site_id"],
        unique=True,
        sqlite_where=sa.text("counted"),
        postgresql_where=sa.text("counted"),
    )
    op.create_table(
        "metrics",
        sa.Column("receipt_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("value", sa.Float()),
        sa.PrimaryKeyConstraint("receipt_id", "name", name="pk_metrics"),
        _foreign("metrics", "receipt_id", "receipts.id"),
    )


def _foreign(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=f"fk_{table}_{column}")
