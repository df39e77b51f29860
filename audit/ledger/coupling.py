"""No version of a governed row without its entry: enforced by the database, not by review.

A deferred foreign key `(id, version) -> audit_entry (stream, stream_version)` fails the commit of any version that
recorded nothing; a trigger forces each update to be the next version. Guard rails against bugs and against SQL of
the application's role; a superuser is the verifier's business.
"""

from django.db.migrations import RunSQL

GUARD = """
CREATE OR REPLACE FUNCTION audit_guard_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP IN ('DELETE', 'TRUNCATE') THEN
        RAISE EXCEPTION '% is governed: its rows are never deleted', TG_TABLE_NAME;
    ELSIF TG_OP = 'INSERT' THEN
        IF NEW.version <> 1 THEN
            RAISE EXCEPTION '%: a new row has version 1, not %', TG_TABLE_NAME, NEW.version;
        END IF;
    ELSIF NEW.id <> OLD.id THEN
        RAISE EXCEPTION '%: an id never changes', TG_TABLE_NAME;
    ELSIF NEW.version = OLD.version THEN
        IF to_jsonb(NEW) - COALESCE(TG_ARGV, '{}') <> to_jsonb(OLD) - COALESCE(TG_ARGV, '{}') THEN
            RAISE EXCEPTION '%: changed without a new version', TG_TABLE_NAME;
        END IF;
    ELSIF NEW.version <> OLD.version + 1 THEN
        RAISE EXCEPTION '%: version % cannot follow %', TG_TABLE_NAME, NEW.version, OLD.version;
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$;
"""
GROWING = """
CREATE OR REPLACE FUNCTION audit_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'UPDATE' THEN
        RAISE EXCEPTION '% only grows', TG_TABLE_NAME;
    ELSIF (NEW.id, NEW.level, NEW.index) <> (OLD.id, OLD.level, OLD.index)
        OR substr(NEW.data, 1, length(OLD.data)) <> OLD.data
        OR length(NEW.data) <> NEW.width * 32 THEN
        RAISE EXCEPTION '% only grows: its hashes never change', TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END $$;
"""
DIGEST = """
CREATE OR REPLACE FUNCTION audit_row_digest(governed regclass, row_id uuid, covered text[]) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public SET timezone = 'UTC' AS $$
DECLARE
    digest text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = governed AND tgfoid = 'public.audit_guard_row'::regproc) THEN
        RAISE EXCEPTION '% is not governed', governed;
    END IF;
    EXECUTE format('SELECT encode(sha256(convert_to((SELECT jsonb_object_agg(key, value) FROM jsonb_each(to_jsonb(r))
        WHERE key = ANY($1))::text, ''UTF8'')), ''hex'') FROM %s r WHERE id = $2', governed)
        INTO digest USING covered, row_id;
    RETURN digest;
END $$;
REVOKE ALL ON FUNCTION audit_row_digest(regclass, uuid, text[]) FROM PUBLIC;
"""
UNGUARD = "DROP FUNCTION audit_guard_row(); DROP FUNCTION audit_append_only();"
FIRST_APPEND_ONLY = ("audit_entry", "audit_leaf", "audit_checkpoint")
APPEND_ONLY = (*FIRST_APPEND_ONLY, "audit_timestamp", "audit_cosignature")


def guards() -> RunSQL:
    """The trigger functions, and the first tables that only ever grow."""
    made, dropped = _append_only(*FIRST_APPEND_ONLY)
    return RunSQL(GUARD + made, dropped + UNGUARD)


def append_only(table: str) -> RunSQL:
    """A later table whose rows are never changed or deleted; it stands in APPEND_ONLY too."""
    return RunSQL(*_append_only(table))


def _append_only(*tables: str) -> tuple[str, str]:
    made = "".join(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}"
        f" FOR EACH ROW EXECUTE FUNCTION audit_append_only();"
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} EXECUTE FUNCTION audit_append_only();"
        for table in tables
    )
    dropped = "".join(
        f"DROP TRIGGER {table}_append_only ON {table}; DROP TRIGGER {table}_no_truncate ON {table};"
        for table in tables
    )
    return made, dropped


def growing() -> RunSQL:
    """Tiles of the log: the rightmost gets longer, no hash in it ever changes."""
    return RunSQL(
        GROWING
        + """
        CREATE TRIGGER audit_tile_only_grows BEFORE UPDATE OR DELETE ON audit_tile
            FOR EACH ROW EXECUTE FUNCTION audit_only_grows();
        CREATE TRIGGER audit_tile_no_truncate BEFORE TRUNCATE ON audit_tile EXECUTE FUNCTION audit_only_grows();
        """,
        """
        DROP TRIGGER audit_tile_only_grows ON audit_tile;
        DROP TRIGGER audit_tile_no_truncate ON audit_tile;
        DROP FUNCTION audit_only_grows();
        """,
    )


def digests() -> RunSQL:
    """What a governed row comes to, for an auditor who may not see what is in it."""
    return RunSQL(DIGEST, "DROP FUNCTION audit_row_digest(regclass, uuid, text[])")


def only_going() -> RunSQL:
    """Openings: erased one by one, never written over."""
    return RunSQL(
        """
        CREATE TRIGGER audit_opening_unchanged BEFORE UPDATE ON audit_opening
            FOR EACH ROW EXECUTE FUNCTION audit_append_only();
        CREATE TRIGGER audit_opening_no_truncate BEFORE TRUNCATE ON audit_opening
            EXECUTE FUNCTION audit_append_only();
        """,
        """
        DROP TRIGGER audit_opening_unchanged ON audit_opening;
        DROP TRIGGER audit_opening_no_truncate ON audit_opening;
        """,
    )


class Coupling(RunSQL):
    """The operation that governs a table; it remembers what it made, for `guarded.py` to compare."""

    def __init__(self, table: str, free: tuple[str, ...]) -> None:
        self.table, self.free = table, free
        super().__init__(*_coupling(table, free))


def couple(table: str, free: tuple[str, ...] = ()) -> Coupling:
    """Govern `table`. `free` columns (a lease, a counter of hints) may change without a version and an entry."""
    return Coupling(table, free)


def _coupling(table: str, free: tuple[str, ...]) -> tuple[str, str]:
    """The SQL to govern a table, and to let it go."""
    arguments = ", ".join(f"'{column}'" for column in free)
    return (
        f"""
        ALTER TABLE {table} ADD CONSTRAINT {table}_has_entry FOREIGN KEY (id, version)
            REFERENCES audit_entry (stream, stream_version) DEFERRABLE INITIALLY DEFERRED;
        CREATE TRIGGER {table}_governed BEFORE INSERT OR UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION audit_guard_row({arguments});
        CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} EXECUTE FUNCTION audit_guard_row();
        """,
        f"""
        DROP TRIGGER {table}_no_truncate ON {table};
        DROP TRIGGER {table}_governed ON {table};
        ALTER TABLE {table} DROP CONSTRAINT {table}_has_entry;
        """,
    )
