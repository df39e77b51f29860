"""The log as an auditor uses it: questions, views, who did what, what is new, what changed, and what is wrong."""

import re
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.db import connection, transaction

from audit import search, views
from audit.canonical import uuid7
from audit.ledger import checkpoint, examine
from audit.ledger.entry import Actor
from audit.ledger.record import record
from audit.ledger.sequencer import Sequencer
from audit.models import ActorName, Leaf, SavedView
from audit.pages import integrity
from audit.refusals import Invalid, NotFound
from audit.search import paging
from tests.accounts.cast import bearer, issue, person
from tests.audit.log import TESTER, Subject, as_insider, sequence, stream, write

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore:No directory at"),
    pytest.mark.usefixtures("own_key"),
]
NOOR = Actor("3c9f0b3e-0000-7000-8000-000000000001", "person", "session")
BACKEND = "django.contrib.auth.backends.ModelBackend"


@pytest.fixture
def auditor(auditor, client):
    """The same, signed in."""
    client.force_login(auditor, backend=BACKEND)
    return auditor


@pytest.fixture
def read(client, auditor):
    def get(path, status=200, **query):
        response = client.get(path, query)
        assert response.status_code == status, response.content[:500]
        return response.content.decode()

    return get


def tell(kind, subject="T-1", actor=NOOR, **data):
    with transaction.atomic():
        return record(kind, of=None, subject=subject, actor=actor, **data)


def asked(text, **where):
    """Indexes of a page of five, and the page."""
    found = search.page(search.parse(text), size=5, **where)
    return [leaf.index for leaf in found.rows], found


def all_pages(text, size=5):
    """Every index that the pages give, following them to older ones."""
    seen, found = [], search.page(search.parse(text), size=size)
    while True:
        seen += [leaf.index for leaf in found.rows]
        if found.older is None:
            return seen
        found = search.page(search.parse(text), size=size, before=found.older)


def last():
    """The newest index."""
    return Leaf.objects.order_by("-index").values_list("index", flat=True)[0]


def every(text):
    return list(search.find(search.parse(text)).values_list("index", flat=True))


# --- the grammar ---------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=False)
@pytest.mark.parametrize(
    ("typed", "understood"),
    [
        ("kind:a.b verb:c", "type:a.b type:c"),
        ("from:2026-09-01 to:2026-10-01", "after:2026-09-01 before:2026-10-01"),
        ("about:CHG-1", "change:CHG-1"),
        ("chg-12", "change:chg-12"),
        ("RUN-3", "change:RUN-3"),
        ("sha256:" + "a" * 64, "change:sha256:" + "a" * 64),
        ('actor:"Noor Haddad"', 'actor:"Noor Haddad"'),
        ("actor:system:test", "actor:system:test"),
        ('"actr:noor" two  words', '"actr:noor" two words'),
        ("TYPE:a.b", "type:a.b"),
    ],
)
def test_a_question_is_shown_as_it_was_understood(typed, understood):
    terms = search.parse(typed)
    assert search.spell(terms) == understood
    assert search.parse(search.spell(terms)) == terms


@pytest.mark.django_db(transaction=False)
def test_an_unknown_qualifier_is_named_and_never_searched_for_as_a_word():
    with pytest.raises(Invalid, match=r"no qualifier outcom:\. Did you mean outcome:"):
        search.parse("outcom:refused")
    assert search.parse('"outcom:refused"') == [search.Term("", "outcom:refused")]


# --- what fits, page by page ---------------------------------------------------------------------------------


@pytest.fixture
def told(auditor):
    """Three of Noor's kinds in turn, the tester's in between, one row of three versions."""
    ActorName.objects.create(actor=NOOR.id, name="Noor Haddad", handle="noor")
    for number in range(8):
        tell("sign_off.given", f"CHG-{number}", decision="approve", note="Ticket INC-4711")
        tell("attempt.refused", f"CHG-{number}", code="not_allowed")
        tell("change.approved", f"CHG-{number}", TESTER)
    stream(3)
    sequence()


QUESTIONS = [
    "",
    "type:sign_off.given",
    "type:*",
    "type:change.*",
    "type:none.such",
    "outcome:refused",
    "outcome:given",
    "actor:noor",
    "actor:haddad",
    f"actor:{NOOR.id}",
    "actor:noor type:sign_off.*",
    "actor:noor outcome:refused",
    "actor:noor type:change.approved",
    "actor:nobody",
    "type:sign_off.* outcome:given",
    "type:sign_off.* outcome:refused",
    "subject:chg-3",
    "change:CHG-3",
    "CHG-3 outcome:refused",
    "subject:CHG-3 actor:noor",
    "index:4..9",
    "index:4..9 actor:noor",
    "index:20..",
    "index:5",
    "inc-4711",
    "inc-4711 noor",
    '"Ticket INC"',
    "type:sign_off.given inc-4711",
    "outcome:refused inc-4711",
    "after:2020-01-01",
    "after:2020-01-01 actor:noor",
    "after:2999-01-01",
    "before:2020-01-01",
    "before:2999-01-01 type:change.approved",
]


@pytest.mark.parametrize("window", [1, 4, 10_000])
def test_pages_hold_exactly_what_fits_however_little_is_looked_through(told, monkeypatch, window):
    monkeypatch.setattr(paging, "WINDOW", window)
    monkeypatch.setattr(paging, "CHUNK", 3)
    for question in QUESTIONS:
        assert all_pages(question) == every(question), question
    assert every("inc-4711 noor") == every("type:sign_off.given") != []
    row = Leaf.objects.filter(entry__stream_version=2).get()
    assert all_pages(f"stream:{row.entry.stream}", size=2) == [row.index + 1, row.index, row.index - 1]


def test_a_page_leads_back_to_the_newer_one(told):
    newest, first = asked("actor:noor")
    older, second = asked("actor:noor", before=first.older)
    back, _ = asked("actor:noor", after=second.newer)
    assert (back, first.newer) == (newest, None)
    assert not set(older) & set(newest)


def test_a_page_that_is_not_full_says_how_far_it_looked(told, read, monkeypatch):
    monkeypatch.setattr(paging, "WINDOW", 6)
    monkeypatch.setattr("audit.pages.log.PAGE", 5)
    rows, found = asked("no-such-word")
    assert (rows, found.older) == ([], last() - 5)
    page = read("/audit/", q="no-such-word")
    assert "Nothing so far" in page
    assert "Look further back" in page
    monkeypatch.undo()
    assert "No entry fits" in read("/audit/", q="no-such-word")


def test_a_period_lists_by_what_the_entries_say_their_time_was(told):
    moved = Leaf.objects.get(index=last() - 3)
    early = moved.occurred_at - timedelta(days=1)
    as_insider("UPDATE audit_leaf SET occurred_at = %s WHERE index = %s", early, moved.index)
    assert asked(f"before:{(early + timedelta(hours=1)).isoformat()}")[0] == [moved.index]
    assert all_pages("")[-1] == moved.index


def test_a_person_of_many_names_is_looked_for_all_the_same(told, monkeypatch):
    monkeypatch.setattr(paging, "BRANCHES", 1)
    assert all_pages("actor:noor") == every("actor:noor") != []
    assert all_pages("actor:noor type:sign_off.*") == every("actor:noor type:sign_off.*") != []


def test_no_question_sorts_or_reads_the_log_from_end_to_end(told):
    """By its plans, where PostgreSQL avoids both if it can: along an index that is in order already."""
    for question in QUESTIONS:
        way = paging.way_of(search.parse(question))
        if not way.values:
            continue  # nobody has this name: nothing is read at all
        order = ", ".join(f"{name} DESC" for name in way.order)
        plan = paging.ROWS_OF.format(where=way.where, order=order, reach=6)
        if way.columns:
            plan = f"SELECT r.* FROM {way.unnested} CROSS JOIN LATERAL ({plan}) r"  # noqa: S608 - of the product
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
            cursor.execute(f"EXPLAIN {plan}", way.params)
            said = "\n".join(line for (line,) in cursor.fetchall())
        assert not re.search("Seq Scan|Sort|Bitmap", said), f"{question}: {said}"


def test_totals_tell_who_did_what(told, read):
    assert dict(search.totals(search.parse("actor:noor"))) == {"sign_off.given": 8, "attempt.refused": 8}
    assert search.totals(search.parse("after:2020-01-01"))[0][1] == 8
    assert search.totals(search.parse("actor:noor inc-4711")) == []
    assert "Sign-off given <b>8</b>" in read("/audit/", q="actor:noor")


def test_the_form_of_who_did_what_becomes_a_search(client, auditor):
    response = client.get(
        "/audit/", {"q": "actor:x outcome:refused", "who": "Noor Haddad", "since": "2026-09-01", "until": ""}
    )
    assert response.status_code == 302
    assert response["Location"] == "/audit/?" + urlencode(
        {"q": 'outcome:refused actor:"Noor Haddad" after:2026-09-01'}
    )


# --- the API -------------------------------------------------------------------------------------------------


def test_the_api_understands_the_same_and_goes_on_by_its_cursor(client, told, auditor):
    token = bearer(issue(auditor, "audit:read"))
    seen, path = [], "/api/v1/audit/entries/?q=actor:noor&limit=5"
    while path:
        told_ = client.get(path, **token).json()
        seen += [one["index"] for one in told_["results"]]
        path = told_["next"]
    assert seen == every("actor:noor")
    assert (
        client.get("/api/v1/audit/entries/?outcome=refused", **token).json()["results"][0]["actor_name"]
        == "Noor Haddad"
    )
    for wrong in ("cursor=x", "cursor=cD1hYmM=", "limit=0"):
        assert client.get(f"/api/v1/audit/entries/?{wrong}", **token).status_code == 422


# --- saved views ---------------------------------------------------------------------------------------------


def test_a_view_is_ones_own_until_it_is_shared(client, told, auditor, read):
    client.post("/audit/views/", {"name": "Noor said no", "q": "kind:attempt.refused actor:noor"})
    client.post("/audit/views/", {"name": "All of Noor", "q": "actor:noor", "shared": "on"})
    mine = SavedView.objects.get(name="Noor said no")
    assert mine.query == "type:attempt.refused actor:noor"
    assert "Noor said no" in read("/audit/", q=mine.query)
    other = person("Bob", "auditors")
    client.force_login(other, backend=BACKEND)
    page = client.get("/audit/").content.decode()
    assert "All of Noor" in page
    assert "Noor said no" not in page
    shared = SavedView.objects.get(name="All of Noor")
    assert client.post(f"/audit/views/{shared.pk}/forget/").status_code == 404
    client.force_login(auditor, backend=BACKEND)
    assert client.post(f"/audit/views/{shared.pk}/forget/").status_code == 302
    assert not SavedView.objects.filter(pk=shared.pk).exists()


def test_the_same_name_takes_the_new_search_and_there_is_an_end_to_views(monkeypatch):
    views.save(owner="a", name="  Mine ", query="type:a.b", shared=False)
    assert views.save(owner="a", name="Mine", query="type:c.d", shared=True).query == "type:c.d"
    assert views.of("b").count() == 1
    monkeypatch.setattr(views, "MOST", 1)
    with pytest.raises(Invalid, match="Remove one first"):
        views.save(owner="a", name="Another", query="", shared=False)
    for name, query in (("", "a"), ("x" * 61, "a"), ("x", "actr:y")):
        with pytest.raises(Invalid):
            views.save(owner="b", name=name, query=query, shared=False)
    with pytest.raises(NotFound):
        views.forget("nonsense", owner="a")


def test_only_readers_save_views_or_hear_of_news(client):
    client.force_login(person("Mara"), backend=BACKEND)
    assert client.get("/audit/news/?after=0").status_code == 403
    assert client.post("/audit/views/", {"name": "x", "q": ""}).status_code == 403
    assert client.post(f"/audit/views/{NOOR.id}/forget/").status_code == 403


# --- what is new, what is on paper, one entry ----------------------------------------------------------------


def test_what_is_new_is_counted_and_nothing_of_it_told(told, read):
    newest = last()
    assert read("/audit/news/", q="actor:noor", after=newest) == ""
    tell("sign_off.given", "CHG-90")
    tell("change.approved", "CHG-90", TESTER)
    sequence()
    assert read("/audit/news/", q="actor:noor", after=newest) == "1 new entry"
    assert read("/audit/news/", after=newest) == "2 new entries"
    assert f'data-news="/audit/news/?after={newest + 2}"' in read("/audit/")


def test_the_print_view_says_what_was_asked_and_under_which_checkpoint(told, read):
    page = read("/audit/", q="outcome:refused", print=1)
    signed = checkpoint.latest()
    assert signed is not None
    for words in ("outcome:refused", f"Checkpoint of {signed.size} entries", "by Ada"):
        assert words in page
    assert len(re.findall(r"Attempt refused", page)) == 8
    assert "Export as CSV" not in page


def test_a_row_opens_in_its_place_with_its_proof_and_what_it_changed(told, read):
    page = read("/audit/", q="outcome:refused")
    [way, *_] = re.findall(r'hx-get="(/audit/[0-9]+/within/)"', page)
    shown = read(way)
    assert f"Verified: entry {way.split('/')[2]} is in the log and unchanged" in shown
    assert '<th scope="col">Before</th>' in shown
    assert "&quot;type&quot;: &quot;attempt.refused&quot;" in shown
    assert "<html" not in shown
    assert 'hx-get="/audit/' not in read("/audit/", q="outcome:refused", print=1)


def test_an_entry_keeps_the_search_it_was_found_by(told, read):
    mine = every("actor:noor outcome:refused")
    page = read(f"/audit/{mine[3]}/", q="actor:noor outcome:refused")
    asked_ = urlencode({"q": "actor:noor outcome:refused"})
    assert f'rel="prev" href="/audit/{mine[2]}/?{asked_}"' in page
    assert f'rel="next" href="/audit/{mine[4]}/?{asked_}"' in page
    assert 'rel="next"' not in read("/audit/0/")


def test_an_entry_shows_what_changed_in_its_row(read):
    row = Subject(id=uuid7(), version=0)
    with transaction.atomic():
        for name, until in (("May", "2026-06-01"), ("June", "2026-06-01"), ("June", None)):
            row.version += 1
            told_ = {"until": until} if until else {"reason": "early"}
            record("freeze.edited", of=row, subject="F-1", actor=TESTER, name=name, **told_)
    sequence()
    first, second, third = (read(f"/audit/{last() - back}/") for back in (2, 1, 0))
    assert "nothing came before it in its row" in first
    assert "<del>May</del>" in second
    assert "<ins>June</ins>" in second
    assert second.index("June") < second.index("as before")
    assert "said for the first time" in third
    assert "<del>" not in third


@pytest.mark.parametrize(
    ("subject", "place"),
    [
        ("CHG-1", "/go/CHG-1/"),
        ("CT-03", "/go/CT-03/"),
        ("team:payments", "/go/team:payments/"),
        ("workflow:deploy", "/go/workflow:deploy/"),
        ("ledger", "/go/ledger/"),
        ("web-bank", "/audit/?q=subject%3Aweb-bank"),
        ("a b:c", "/audit/?q=subject%3A%22a+b%3Ac%22"),
    ],
)
def test_each_entry_leads_to_what_it_tells_about(read, client, subject, place):
    tell("test.happened", subject)
    sequence()
    assert f'href="{place}"' in read(f"/audit/{last()}/")
    target = client.get(place)
    assert target.status_code in {200, 302}


# --- what is wrong -------------------------------------------------------------------------------------------


def titles():
    return [one["title"] for one in integrity.look()]


def test_a_sound_log_has_no_banner_and_an_empty_one_neither(read):
    assert titles() == []
    write(1)
    sequence()
    assert titles() == []


@pytest.mark.parametrize(
    ("damage", "title"),
    [
        ("UPDATE audit_checkpoint SET root = decode(repeat('00', 32), 'hex')", "The log does not verify"),
        ("UPDATE audit_tile SET data = reverse(data) WHERE level = 0", "The log does not verify"),
        ("UPDATE audit_checkpoint SET created_at = now() + interval '1 hour'", "A clock was set back"),
        ("UPDATE audit_leaf SET occurred_at = now() + interval '1 hour'", "A clock was set back"),
    ],
)
def test_every_page_of_a_reader_says_that_the_log_is_not_sound(client, read, damage, title):
    write(2)
    sequence()
    write(1)
    sequence()
    as_insider(damage)
    page = read("/people/")
    assert title in page
    assert page.index(title) < page.index("<h1")
    client.force_login(person("Mara"), backend=BACKEND)
    assert title not in client.get("/people/").content.decode()


def test_a_log_that_waits_or_is_not_signed_says_so(monkeypatch):
    write(1)
    sequence()
    write(1)
    monkeypatch.setattr("audit.pages.proving.LATE_SECONDS", -1.0)
    assert titles() == ["The log is behind"]
    Sequencer.start(checkpoint.keeper().answer).integrate()
    assert "The log is not signed" in titles()


def test_a_page_does_not_look_again_within_seconds(monkeypatch):
    monkeypatch.setattr(integrity, "KNOWN_SECONDS", 60.0)
    monkeypatch.setattr(integrity, "_known", (float("-inf"), []))
    assert integrity.alarms() == []
    monkeypatch.setattr(integrity, "look", lambda: [{"title": "news"}])
    assert integrity.alarms() == []
    monkeypatch.setattr(integrity, "KNOWN_SECONDS", 0.0)
    assert integrity.alarms() == [{"title": "news"}]


@pytest.mark.parametrize(
    "column", ["kind = 'a.b'", "subject = 'X'", "actor = 'nobody'", "occurred_at = now()"]
)
def test_a_leaf_that_hides_its_entry_from_a_search_is_found(read, column):
    write(2)
    sequence()
    as_insider(f"UPDATE audit_leaf SET {column} WHERE index = %s", last())  # noqa: S608 - a column of this test
    assert f"Not verified: entry {last()}" in read(f"/audit/{last()}/")
    found = examine.examine(checkpoint.keys()).first
    assert found is not None
    assert (
        found.text
        == f"Entry {last()} is found by another search than its own: its leaf says something else of it."
    )
