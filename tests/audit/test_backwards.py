"""The database's clock goes back: places in the log go on growing, an alarm is an entry, and everything verifies.

The clock is a function that comes before PostgreSQL's own in the search path, so every statement of ours asks it.
"""

import contextlib

import pytest
from django.db import connection

from audit.canonical import parse
from audit.clock import database_time
from audit.ledger import backwards, checkpoint, examine
from audit.ledger.sequencer import Sequencer
from audit.models import Entry, Leaf
from audit.pages import integrity, proving
from config import doctor, probes
from tests.audit.log import write

pytestmark = pytest.mark.django_db(transaction=True)
FAKED = """
CREATE SCHEMA faked;
CREATE FUNCTION faked.clock_timestamp() RETURNS timestamptz LANGUAGE sql
    AS $$ SELECT pg_catalog.clock_timestamp() + current_setting('faked.shift')::interval $$;
SET search_path = faked, pg_catalog, public;
"""


@pytest.fixture
def clock():
    """Sets the clock of this database, by so many seconds off the true time."""

    def shift(seconds):
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('faked.shift', %s, false)", [f"{seconds} seconds"])

    shift(0)
    with connection.cursor() as cursor:
        cursor.execute(FAKED)
    yield shift
    with connection.cursor() as cursor, contextlib.suppress(Exception):
        cursor.execute("RESET search_path; DROP SCHEMA faked CASCADE")


@pytest.fixture
def signer():
    one = checkpoint.keeper()
    one.forget()  # whatever an earlier test has had signed
    return one


@pytest.fixture
def sequencer(signer):
    return Sequencer.start(signer.answer)


def placed(sequencer):
    """Whatever waits has its place and is signed."""
    while sequencer.integrate():
        pass
    sequencer.signed_at = float("-inf")
    sequencer.sign(now=0.0)


def alarms():
    found = Entry.objects.filter(kind="ledger.clock_set_back").order_by("id")
    return [parse(bytes(one.body))["data"] for one in found]


def ill():
    return [one.says for one in doctor.examine() if one.part == "clock" and one.verdict == "ill"]


def test_g07_when_the_clock_is_set_back_places_go_on_growing_and_an_alarm_is_in_the_log(clock, sequencer):
    early = write(3)
    placed(sequencer)
    assert (alarms(), backwards.behind(), ill()) == ([], None, [])
    clock(-3600)
    late = write(3)
    placed(sequencer)
    places = [Leaf.objects.get(entry=one).index for one in (*early, *late)]
    assert places == sorted(places)
    assert max(one.occurred_at for one in late) < min(one.occurred_at for one in early)
    (alarm,) = alarms()
    assert 3500 < alarm["seconds"] <= 3600
    assert alarm["then"] < alarm["shown"]
    indexes = list(Leaf.objects.order_by("index").values_list("index", flat=True))
    assert indexes == list(range(7)), "the alarm itself is sealed, behind what raised it"
    assert examine.examine(checkpoint.keys()).findings == []
    assert "it was set back" in ill()[0]
    assert proving.strip().title == "The database's clock went back"
    assert [one["title"] for one in integrity.look()] == ["A clock was set back"]
    assert 3500 < probes.clock().values[""] <= 3600


def test_one_alarm_is_enough_until_the_clock_is_right_and_goes_back_again(clock, sequencer):
    write()
    placed(sequencer)
    for shift, expected in ((-3600, 1), (-3600, 1), (0, 1), (-3600, 2)):
        clock(shift)
        write(2)
        placed(sequencer)
        assert len(alarms()) == expected
    clock(0)
    assert (backwards.behind(), ill()) == (None, [])


def test_what_the_log_showed_is_remembered_by_a_sequencer_that_starts_anew(clock, signer, sequencer):
    write()
    placed(sequencer)
    clock(-3600)
    write()
    placed(Sequencer.start(signer.answer))
    assert len(alarms()) == 1


@pytest.mark.parametrize("seconds", [0, 30, 59])
def test_a_transaction_that_was_open_for_a_while_is_no_alarm(clock, sequencer, seconds):
    write()
    placed(sequencer)
    clock(-seconds)
    write()
    placed(sequencer)
    assert (alarms(), backwards.behind()) == ([], None)


def test_the_faked_clock_is_the_one_that_judges(clock):
    true = database_time()
    clock(-86_400)
    assert (true - database_time()).total_seconds() > 86_000
