"""The bookkeeping tables, and the schemas that hold them and the bases.

`_sync_metadata` and `sync_history` are in `public` because other tools read them there.

Revision: 0001
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    """
    CREATE TABLE IF NOT EXISTS _sync_metadata (
        table_name VARCHAR(255) NOT NULL,
        last_sync_timestamp TIMESTAMP WITH TIME ZONE DEFAULT '1970-01-01 00:00:00+00' NOT NULL,
        records_synced INTEGER DEFAULT 0 NOT NULL,
        sync_status VARCHAR(50) DEFAULT 'pending',
        error_message TEXT,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        PRIMARY KEY (table_name)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS sync_history (
        id UUID NOT NULL,
        user_id UUID,
        sync_type TEXT NOT NULL,
        status TEXT NOT NULL,
        items_processed INTEGER DEFAULT 0 NOT NULL,
        items_created INTEGER DEFAULT 0 NOT NULL,
        items_updated INTEGER DEFAULT 0 NOT NULL,
        items_failed INTEGER DEFAULT 0 NOT NULL,
        duration_ms INTEGER,
        metadata JSONB DEFAULT '{}' NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        PRIMARY KEY (id),
        CONSTRAINT sync_history_status_check CHECK (
            status in ('running', 'completed', 'failed', 'partial_success')
        )
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS sync_history_created_at_idx ON sync_history (created_at)
    """,
    """
    CREATE TABLE IF NOT EXISTS sync.step (
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        run_id UUID NOT NULL,
        system TEXT NOT NULL,
        entity TEXT NOT NULL,
        action TEXT NOT NULL,
        status TEXT NOT NULL,
        error TEXT,
        counts JSONB,
        facts JSONB DEFAULT '{}' NOT NULL,
        started_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        finished_at TIMESTAMP WITH TIME ZONE,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS step_run_id_idx ON sync.step (run_id)
    """,
    """
    CREATE TABLE IF NOT EXISTS sync.rejected (
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        system TEXT NOT NULL,
        entity TEXT NOT NULL,
        key JSONB,
        fingerprint TEXT NOT NULL,
        reason TEXT NOT NULL,
        "constraint" TEXT,
        payload JSONB NOT NULL,
        modified TIMESTAMP WITH TIME ZONE,
        run_id UUID NOT NULL,
        first_seen TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        last_seen TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE UNIQUE INDEX IF NOT EXISTS rejected_record_key ON sync.rejected (system, entity, fingerprint)
    """,
    """
    CREATE TABLE IF NOT EXISTS sync.parked (
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        system TEXT NOT NULL,
        entity TEXT NOT NULL,
        key JSONB NOT NULL,
        fingerprint TEXT NOT NULL,
        parent TEXT NOT NULL,
        parent_column TEXT NOT NULL,
        parent_key TEXT NOT NULL,
        record JSONB NOT NULL,
        modified TIMESTAMP WITH TIME ZONE,
        run_id UUID NOT NULL,
        parked_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE UNIQUE INDEX IF NOT EXISTS parked_record_key ON sync.parked (system, entity, fingerprint)
    """,
    """
    CREATE TABLE IF NOT EXISTS sync.change (
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        run_id UUID NOT NULL,
        system TEXT NOT NULL,
        entity TEXT NOT NULL,
        key JSONB NOT NULL,
        action TEXT NOT NULL,
        before JSONB NOT NULL,
        after JSONB NOT NULL,
        changed_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS change_row_idx ON sync.change USING hash (key)
    """,
    """
    CREATE INDEX IF NOT EXISTS change_run_id_idx ON sync.change (run_id, entity)
    """,
    """
    CREATE TABLE IF NOT EXISTS sync.conflict (
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        system TEXT NOT NULL,
        entity TEXT NOT NULL,
        key JSONB NOT NULL,
        kind TEXT NOT NULL,
        field TEXT,
        base JSONB,
        local JSONB,
        source JSONB,
        kept TEXT NOT NULL,
        run_id UUID NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        resolved_at TIMESTAMP WITH TIME ZONE,
        resolution TEXT,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS conflict_row_idx ON sync.conflict USING hash (key)
    """,
    """
    CREATE TABLE IF NOT EXISTS sync.plan (
        digest TEXT NOT NULL,
        run_id UUID NOT NULL,
        system TEXT NOT NULL,
        entity TEXT NOT NULL,
        verdict TEXT NOT NULL,
        counts JSONB NOT NULL,
        rows JSONB NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        PRIMARY KEY (run_id, entity)
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS plan_digest_idx ON sync.plan (digest)
    """,
    """
    CREATE TABLE IF NOT EXISTS sync.request (
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        system TEXT NOT NULL,
        entity TEXT NOT NULL,
        keys TEXT[] NOT NULL,
        reason TEXT NOT NULL,
        force BOOLEAN DEFAULT false NOT NULL,
        attempts INTEGER DEFAULT 0 NOT NULL,
        requested_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        finished_at TIMESTAMP WITH TIME ZONE,
        run_id UUID,
        error TEXT,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS request_waiting_idx ON sync.request (requested_at)
    WHERE finished_at is null
    """,
)


def upgrade() -> None:
    for schema in ("sync", "sync_base"):
        op.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    for statement in TABLES:
        op.execute(statement)


def downgrade() -> None:
    # The bases too: without the bookkeeping they mean nothing.
    op.execute("DROP SCHEMA sync_base CASCADE")
    op.execute("DROP SCHEMA sync CASCADE")
    op.execute("DROP TABLE sync_history, _sync_metadata")
