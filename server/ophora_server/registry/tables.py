"""The registry's tables: what is committed, and nothing of what only a running process knows.

    federations -> sites
                -> runs -> rounds -> receipts, metrics, server_states     adapters (by digest)
                        -> releases -> approvals                          audit_log

Tensors are files (`blobs`); a row holds their digest. Times are seconds since 1970. The migrations
make the same tables; a test holds the two against each other.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

ROUND_STATES = ("planned", "open", "finished", "abandoned")

METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

FEDERATIONS = Table(
    "federations",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("created", Float, nullable=False),
    UniqueConstraint("name"),
)

SITES = Table(
    "sites",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("federation_id", Integer, ForeignKey("federations.id"), nullable=False),
    Column("code", String(32), nullable=False),
    Column("key_fingerprint", String(64), nullable=False),
    Column("joined", Float, nullable=False),
    Column("approved", Float),
    Column("revoked", Float),
    Column("last_contact", Float),
    Column("software", String(64)),
    Column("budget_epsilon", Float),  # as the site states it; its own ledger holds it
    Column("budget_delta", Float),
    UniqueConstraint("federation_id", "code"),
    UniqueConstraint("federation_id", "key_fingerprint"),  # one key is one site, once counted
)

RUNS = Table(
    "runs",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("federation_id", Integer, ForeignKey("federations.id"), nullable=False),
    Column("name", String(64), nullable=False),
    Column("identity", String(64), nullable=False),
    Column("settings", JSON, nullable=False),
    Column("created", Float, nullable=False),
    UniqueConstraint("federation_id", "name"),
)

ADAPTERS = Table(
    "adapters",
    METADATA,
    Column("digest", String(64), primary_key=True),
    Column("num_bytes", BigInteger, nullable=False),
    Column("shapes_digest", String(64), nullable=False),
    Column("created", Float, nullable=False),
)

ROUNDS = Table(
    "rounds",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("run_id", Integer, ForeignKey("runs.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("stage", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempt", Integer, nullable=False),  # 0 until it is begun
    Column("plan_digest", String(64)),
    Column("started", Float),
    Column("finished", Float),
    Column("participants", Integer),
    Column("bytes_sent", BigInteger),
    Column("bytes_received", BigInteger),
    Column("update_norm", Float),
    Column("adapter_digest", String(64), ForeignKey("adapters.digest")),
    Column("metrics", JSON),
    UniqueConstraint("run_id", "number"),
    CheckConstraint(f"state IN {ROUND_STATES}", name="state"),
    CheckConstraint("(state = 'finished') = (adapter_digest IS NOT NULL)", name="whole"),
)

RECEIPTS = Table(
    "receipts",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("round_id", Integer, ForeignKey("rounds.id"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("site_id", Integer, ForeignKey("sites.id"), nullable=False),
    Column("code", String(32), nullable=False),
    Column("num_bytes", BigInteger, nullable=False),
    Column("bytes_sent", BigInteger, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("update_digest", String(64)),
    Column("arrived", Float),
    Column("counted", Boolean, nullable=False),
    UniqueConstraint("round_id", "attempt", "site_id"),
)
Index(  # an update of a site is in a round's mean once, whatever the attempt
    "uq_receipts_counted",
    RECEIPTS.c.round_id,
    RECEIPTS.c.site_id,
    unique=True,
    sqlite_where=text("counted"),
    postgresql_where=text("counted"),
)

METRICS = Table(
    "metrics",
    METADATA,
    Column("receipt_id", Integer, ForeignKey("receipts.id"), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("value", Float),  # NULL: infinite or missing
)

SERVER_STATES = Table(
    "server_states",
    METADATA,
    Column("round_id", Integer, ForeignKey("rounds.id"), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("num_bytes", BigInteger, nullable=False),
)

RELEASES = Table(
    "releases",
    METADATA,
    Column("digest", String(64), primary_key=True),  # of the release's adapter file, card included
    Column("round_id", Integer, ForeignKey("rounds.id"), nullable=False),
    Column("created", Float, nullable=False),
    Column("evidence_digest", String(64)),
    Column("policy_digest", String(64)),
    Column("published", Float),
)

APPROVALS = Table(
    "approvals",
    METADATA,
    Column("release_digest", String(64), ForeignKey("releases.digest"), primary_key=True),
    Column("site_id", Integer, ForeignKey("sites.id"), primary_key=True),
    Column("decision", String(16), nullable=False),
    Column("record_digest", String(64), nullable=False),
    Column("recorded", Float, nullable=False),
)

AUDIT_LOG = Table(
    "audit_log",
    METADATA,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)
