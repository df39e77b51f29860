"""What every test may use. The servers are real; see servers.py."""

from datetime import UTC, datetime

import hypothesis
import pytest
import pytest_timeout
from django.core.management.commands import flush as flushing
from django.db.backends.postgresql.operations import DatabaseOperations
from django.test import Client
from hypothesis import HealthCheck
from xdist.scheduler import LoadScopeScheduling

from approvals import known
from audit.pages import integrity
from tests import kept

# No test is a measurement: how long an example takes says how busy the machine is.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")
FAULTS, E2E = "tests/faults", "tests/e2e"


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items):
    """What kills real processes comes first, browsers come last, whatever others order; they may be tried once more.

    The driver of the browsers keeps an event loop running in its process, where tests after it would make theirs.
    Both depend on how busy the machine is: the summary names what passed at the second try, and twice is a failure.
    """
    result = yield
    items.sort(key=lambda item: (_place(item.nodeid) == E2E, _place(item.nodeid) != FAULTS))
    for item in items:
        if _place(item.nodeid) in {E2E, FAULTS}:
            item.add_marker(pytest.mark.flaky(reruns=1))
    return result


def pytest_runtest_setup(item):
    """A second try has a time of its own: the timer of its test was put away when the first one failed."""
    if getattr(item, "execution_count", 1) > 1:
        settings = pytest_timeout._get_item_settings(item)
        if settings.timeout:
            item.ihook.pytest_timeout_set_timer(item=item, settings=settings)


def pytest_xdist_make_scheduler(config, log):
    """A module by one process: its tests begin alike, which is kept there. So do all that share one stack."""

    class OneStack(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return FAULTS if _place(nodeid) == FAULTS else nodeid.partition("::")[0]

    return OneStack(config, log)


def _place(nodeid):
    return "/".join(nodeid.split("/")[:2])


@pytest.fixture(scope="session", autouse=True)
def _flush_governed_tables():
    """Between tests the governed tables are emptied as their owner would: with the guards asleep, here alone.

    Row by row, and only where there are rows: to truncate a hundred empty tables costs more than most tests.
    """
    flush = DatabaseOperations.execute_sql_flush

    def rows_alone(self, style, tables, *, reset_sequences=False, allow_cascade=False):
        return [f"DELETE FROM {one};" for one in kept.filled(tables)]  # noqa: S608 - names of our tables

    def with_guards_asleep(self, sql_list):
        return flush(
            self, ["SET session_replication_role = replica;", *sql_list, "RESET session_replication_role;"]
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseOperations, "sql_flush", rows_alone)
        patch.setattr(DatabaseOperations, "execute_sql_flush", with_guards_asleep)
        patch.setattr(flushing, "emit_post_migrate_signal", lambda *_, **__: None)
        yield


@pytest.fixture(autouse=True)
def _nothing_is_remembered(monkeypatch, settings):
    """Workers remember outside the database, which is new to each test. A page looks at the log anew."""
    monkeypatch.setattr(integrity, "KNOWN_SECONDS", 0.0)
    (settings.KEY_DIR / "worker" / known.NAME).unlink(missing_ok=True)


@pytest.fixture(autouse=True)
def _signed_in_now(monkeypatch):
    """Whoever a test signs in did so this moment, as at the sign-in page: protected environments ask when it was."""
    sign_in = Client._login  # type: ignore[attr-defined]  # the hook that both ways of signing in share

    def with_its_time(self, user, backend=None):
        sign_in(self, user, backend)
        session = self.session
        session["since"] = datetime.now(UTC).isoformat()
        session.save()

    monkeypatch.setattr(Client, "_login", with_its_time)


@pytest.fixture(autouse=True)
def _quick_passwords(settings):
    """A slow hash protects real passwords; here it would only make a minute of waiting."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
