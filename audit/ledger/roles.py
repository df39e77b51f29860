"""Who may do what in the database: the owner, and three roles that are granted what their work needs and no more.

One table of grants. `settle` makes the database so, `faults` says where it is not. Like the triggers these are guard
rails against bugs and against SQL of the application's role; whoever can become the owner is the verifier's business.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from django.apps import apps
from django.conf import settings
from django.db import connection, transaction
from django.db.utils import ProgrammingError

from audit.models import Coupled

APP, SEQUENCER, AUDITOR = "countersign_app", "countersign_sequencer", "countersign_auditor"
ROLES = (APP, SEQUENCER, AUDITOR)
ONE_AT_A_TIME = 0x726F6C6573  # an advisory lock: two at once would trip over the same rows of the catalogue

# `UPDATE (column)` is of these columns alone. A locked row needs an UPDATE of something: the queue is read so.
LEDGER: dict[str, dict[str, tuple[str, ...]]] = {
    "audit_entry": {APP: ("INSERT",), SEQUENCER: ("INSERT",)},
    "audit_pending": {APP: ("INSERT",), SEQUENCER: ("INSERT", "UPDATE (entry_id)", "DELETE")},
    "audit_leaf": {APP: (), SEQUENCER: ("INSERT",)},
    "audit_tile": {APP: (), SEQUENCER: ("INSERT", "UPDATE (data)", "UPDATE (width)")},
    "audit_checkpoint": {APP: (), SEQUENCER: ("INSERT",)},
    "audit_timestamp": {APP: ("INSERT",)},
    "audit_opening": {APP: ("INSERT", "DELETE")},
    "audit_cosignature": {APP: (), SEQUENCER: ("INSERT",)},
    "audit_head": {
        APP: (),
        SEQUENCER: (
            "INSERT",
            "UPDATE (integrated_at)",
            "UPDATE (newest_at)",
            "UPDATE (root)",
            "UPDATE (size)",
        ),
    },
}
READ_ONLY = {"django_migrations", "django_content_type", "auth_permission"}  # written by migrations alone
NAMES = ("audit_actorname", "audit_formername")

DIGEST = "audit_row_digest"

TABLES = "SELECT relname, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S')"
GRANTED = """
SELECT grantee.rolname, c.relname, acl.privilege_type, ''
FROM pg_class c, aclexplode(c.relacl) acl JOIN pg_roles grantee ON grantee.oid = acl.grantee
WHERE c.relnamespace = 'public'::regnamespace AND grantee.rolname = ANY(%s)
UNION ALL
SELECT grantee.rolname, c.relname, acl.privilege_type, a.attname
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid,
    aclexplode(a.attacl) acl JOIN pg_roles grantee ON grantee.oid = acl.grantee
WHERE c.relnamespace = 'public'::regnamespace AND grantee.rolname = ANY(%s)
UNION ALL
SELECT grantee.rolname, p.proname, acl.privilege_type, ''
FROM pg_proc p, aclexplode(p.proacl) acl JOIN pg_roles grantee ON grantee.oid = acl.grantee
WHERE p.pronamespace = 'public'::regnamespace AND grantee.rolname = ANY(%s)
"""
MORE = """
SELECT r.rolname,
       r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls,
       EXISTS (SELECT FROM pg_auth_members m WHERE m.member = r.oid),
       has_schema_privilege(r.oid, 'public', 'CREATE') OR has_database_privilege(r.oid, current_database(), 'TEMP')
FROM pg_roles r WHERE r.rolname = ANY(%s)
"""


class Grant(NamedTuple):
    """One right of one role; a column, or none for the whole table."""

    role: str
    table: str
    privilege: str
    column: str = ""


class NotAllowed(Exception):
    """The roles cannot be set up by whoever asked."""


def present() -> set[str]:
    """Those of the roles that exist."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [list(ROLES)])
        return {name for (name,) in cursor.fetchall()}


def settle() -> bool:
    """Make the roles and their grants what they must be; False where they were so already."""
    try:
        with transaction.atomic():
            _ask("SELECT pg_advisory_xact_lock(%s)", [ONE_AT_A_TIME])
            if not list(faults()):
                return False
            for name in ROLES:
                _make(name)
            _grant()
    except ProgrammingError as error:
        raise NotAllowed(
            f"The roles were not set up: {str(error).strip().splitlines()[0]}. Run this as the owner of the tables,"
            f" who may make roles, or let an administrator make them first: CREATE ROLE {', '.join(ROLES)} LOGIN."
        ) from error
    return True


def faults() -> Iterator[str]:
    """A sentence for each role that is missing, may more than it should, or less."""
    missing = sorted(set(ROLES) - present())
    if missing:
        yield f"The database has no role {', '.join(missing)}."
        return
    wanted, found = set(_wanted()), {Grant(*row) for row in _ask(GRANTED, [list(ROLES)] * 3)}
    for grant in sorted(found - wanted):
        yield f"{grant.role} may {grant.privilege} {_where(grant)}, and must not."
    for grant in sorted(wanted - found):
        yield f"{grant.role} may not {grant.privilege} {_where(grant)}, and must."
    for name, is_privileged, is_member, may_create in _ask(MORE, [list(ROLES)]):
        if is_privileged or is_member:
            yield f"{name} is a superuser, may make roles or databases, or is a member of another role."
        if may_create:
            yield f"{name} may make tables of its own."


def _wanted() -> Iterator[Grant]:
    """Every grant that there must be, and no other."""
    governed = {one._meta.db_table for one in apps.get_models() if issubclass(one, Coupled)}
    yield from (Grant(role, DIGEST, "EXECUTE") for role in (APP, AUDITOR))
    for table, kind in _ask(TABLES):
        if kind == "S":
            yield Grant(APP, table, "USAGE")
            continue
        for role, rights in LEDGER.get(table, {APP: _of_the_app(table, governed)}).items():
            for right in (*rights, "SELECT"):
                privilege, _, column = right.rstrip(")").partition(" (")
                yield Grant(role, table, privilege, column)
        if table in {*LEDGER, *NAMES, "django_migrations", *settings.LEDGER_AUDITED}:
            yield Grant(AUDITOR, table, "SELECT")
        elif table in governed:
            yield Grant(AUDITOR, table, "SELECT", "id")
            yield Grant(AUDITOR, table, "SELECT", "version")


def _of_the_app(table: str, governed: set[str]) -> tuple[str, ...]:
    if table in READ_ONLY:
        return ()
    return ("INSERT", "UPDATE") if table in governed else ("INSERT", "UPDATE", "DELETE")


def _make(name: str) -> None:
    """A role that may sign in once somebody gives it a password. Roles are of the whole server, so it may be there."""
    if name not in present():
        _run(
            f"""DO $$ BEGIN CREATE ROLE {name} LOGIN NOINHERIT;
                EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"""
        )


def _grant() -> None:
    """In the place of whatever they had. `REVOKE ALL` of a table takes the grants of its columns too."""
    roles = ", ".join(ROLES)
    database = connection.ops.quote_name(connection.settings_dict["NAME"])
    _run(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {roles}")
    _run(f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {roles}")
    _run(f"REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM {roles}")
    _run("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    _run(f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC")
    _run(f"GRANT CONNECT ON DATABASE {database} TO {roles}")
    _run(f"GRANT USAGE ON SCHEMA public TO {roles}")
    kinds = {"USAGE": "SEQUENCE", "EXECUTE": "FUNCTION"}
    tables: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for grant in _wanted():
        right = f"{grant.privilege} ({grant.column})" if grant.column else grant.privilege
        what = kinds.get(grant.privilege, "TABLE")
        tables[right, what, grant.role].append(connection.ops.quote_name(grant.table))
    for (right, what, role), names in tables.items():
        _run(f"GRANT {right} ON {what} {', '.join(names)} TO {role}")


def _where(grant: Grant) -> str:
    return f"on {grant.table}" + (f" ({grant.column})" if grant.column else "")


def _run(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def _ask(sql: str, params: list[Any] | None = None) -> list[tuple[str, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params or [])
        rows: list[tuple[str, ...]] = cursor.fetchall()
    return rows
