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
UNGUARD = "DROP FUNCTION audit_guard_row(); DROP FUNCTION audit_append_only();"
APPEND_ONLY = ("audit_entry", "audit_leaf", "audit_checkpoint")


def guards() -> RunSQL:
    """The trigger functions, and the tables that only ever grow."""
    made = "".join(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}"
        f" FOR EACH ROW EXECUTE FUNCTION audit_append_only();"
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} EXECUTE FUNCTION audit_append_only();"
        for table in APPEND_ONLY
    )
    dropped = "".join(
        f"DROP TRIGGER {table}_append_only ON {table}; DROP TRIGGER {table}_no_truncate ON {table};"
        for table in APPEND_ONLY
    )
    return RunSQL(GUARD + made, dropped + UNGUARD)


def couple(table: str, free: tuple[str, ...] = ()) -> RunSQL:
    """Govern `table`. `free` columns (a lease, a counter of hints) may change without a version and an entry."""
    arguments = ", ".join(f"'{column}'" for column in free)
    return RunSQL(
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
