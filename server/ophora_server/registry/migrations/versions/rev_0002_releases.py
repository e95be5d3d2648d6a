"""Releases and the sites' decisions on them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables of the release gate."""
    op.create_table(
        "releases",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("round_id", sa.Integer(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("evidence_digest", sa.String(64)),
        sa.Column("policy_digest", sa.String(64)),
        sa.Column("published", sa.Float()),
        sa.PrimaryKeyConstraint("digest", name="pk_releases"),
        sa.ForeignKeyConstraint(["round_id"], ["rounds.id"], name="fk_releases_round_id"),
    )
    op.create_table(
        "approvals",
        sa.Column("release_digest", sa.String(64), nullable=False),
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("decision", sa.String(16), nullable=False),
        sa.Column("record_digest", sa.String(64), nullable=False),
        sa.Column("recorded", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("release_digest", "site_id", name="pk_approvals"),
        sa.ForeignKeyConstraint(
            ["release_digest"], ["releases.digest"], name="fk_approvals_release_digest"
        ),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name="fk_approvals_site_id"),
    )
