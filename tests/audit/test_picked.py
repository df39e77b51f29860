"""What an address picks and nobody can read is named at its field on the page that was asked for, or by its pointer."""

import html

import pytest

from audit.models import Entry
from orchestration import catalogue
from tests.audit.log import TESTER, sequence
from tests.audit.reported import Reported

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_key")]
PERIOD = [
    ("from=soon", "from", "'soon' is not a day like 2026-09-01."),
    ("from=0001-01-01T00:00%2B14:00", "from", "'0001-01-01T00:00+14:00' is not a day"),
    ("from=2026-02-02&to=2026-02-01", "to", "The period ends before it begins."),
    ("from=soon&environment=moon", "from", "'soon' is not a day like 2026-09-01."),
    ("from=soon&environment=moon", "environment", "There is no environment 'moon' in the ledger."),
]
FRAMEWORK = [("framework=X&environment=moon", field, words) for field, words in (
    ("framework", "There is no framework 'X'"), ("environment", "There is no environment 'moon'"),
)]  # fmt: skip
CHECKPOINT = [
    ("checkpoint=x", "checkpoint", "No checkpoint of 'x' entries was signed."),
    ("checkpoint=999999", "checkpoint", "No checkpoint of '999999' entries was signed."),
]
ROWS = [
    ("result=odd", "result", "An item is one of pass, fail"),
    ("first=x", "first", "There is no row 'x'"),
    ("first=7000", "first", "There is no row '7000': there are 2, from 0."),
]
PAGES = {
    "/compliance/": ("<h1>Compliance</h1>", [*PERIOD, *FRAMEWORK, *CHECKPOINT]),
    "/compliance/controls/CT-01/": ("<h1>Control test CT-01</h1>", [*PERIOD, *CHECKPOINT, *ROWS]),
    "/compliance/controls/CT-01/evidence/RUN-666/": (
        "<h1>Control test CT-01 RUN-666</h1>",
        [*PERIOD, *CHECKPOINT],
    ),
    "/compliance/metrics/": ("<h1>Metrics</h1>", [*PERIOD, *CHECKPOINT]),
    "/compliance/exports/": ("<h1>Exports</h1>", [*PERIOD, *FRAMEWORK]),
    "/compliance/samples/": (
        "<h1>Samples</h1>",
        [*PERIOD, ("control=CT-99", "control", "There is no control test 'CT-99'.")],
    ),
}


@pytest.fixture
def world():
    return Reported()


def test_each_page_names_what_it_cannot_read_at_its_field_and_shows_it_again(world):
    client = world.client()
    for address, (title, wrong) in PAGES.items():
        assert client.get(address).status_code == 200, address
        for query, field, words in wrong:
            answer = client.get(f"{address}?{query}")
            page = html.unescape(answer.content.decode())
            told = f"{address}?{query}"
            assert answer.status_code == 422, told
            assert title in page, told
            assert f'<a href="#f-{field}">{words}' in page, told
            assert f'<span class="problem" id="f-{field}-error">' in page, told


def test_what_an_address_picks_is_kept_in_the_form(world):
    page = world.client().get("/compliance/?from=2026-02-30&to=2026-03-01&framework=SOC 2").content.decode()
    assert 'name="from" id="f-from" value="2026-02-30" type="text"' in page
    assert 'name="to" id="f-to" value="2026-03-01" type="date"' in page
    assert '<option value="SOC 2" selected>' in page


def test_an_environment_in_which_nothing_ran_is_no_mistake(world):
    client = world.client()
    assert client.get("/compliance/?environment=staging").status_code == 422
    catalogue.create_environment(slug="staging", name="Staging", tier=2, position=2, by=TESTER)
    sequence()
    assert client.get("/compliance/?environment=staging").status_code == 200


DOORS = [
    ("reports/controls/?environment=moon", "/environment"),
    ("reports/controls/?from=soon", "/from"),
    ("reports/controls/CT-01/?checkpoint=999999", "/checkpoint"),
    ("reports/controls/CT-01/evidence/?cursor=x", "/cursor"),
    ("reports/controls/CT-01/evidence/?environment=moon", "/environment"),
    ("reports/metrics/?to=2026-01-01&from=2026-01-02", "/to"),
    ("reports/metrics/?environment=moon", "/environment"),
    ("reports/exports/?limit=0", "/limit"),
    ("reports/samples/?cursor=x", "/cursor"),
    ("audit/views/?limit=many", "/limit"),
    ("audit/entries/?q=actr:x", "/q"),
    ("audit/entries/?after=soon", "/after"),
    ("audit/consistency?from=x&to=1", "/from"),
]


def test_the_api_names_it_by_its_pointer(world):
    client = world.client()
    for path, where in DOORS:
        answer = client.get(f"/api/v1/{path}")
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, where), path


def test_the_explorer_names_what_it_cannot_read_beside_its_search(world):
    client = world.client()
    for query, words in (
        ("q=actr:noor", "there is no qualifier actr:"),
        ("before=x", "before='x' is not the number of an entry"),
        ("since=soon", "'soon' is not a day like"),
        ("q=index:1..x", "is not a number of an entry"),
    ):
        answer = client.get(f"/audit/?{query}")
        page = html.unescape(answer.content.decode())
        assert (answer.status_code, words in page, 'type="search"' in page) == (422, True, True), query
    answer = client.get("/audit/3/?q=actr:noor")
    page = html.unescape(answer.content.decode())
    assert (answer.status_code, "there is no qualifier actr:" in page, "is in the log and unchanged" in page) == (
        422, True, True,
    )  # fmt: skip


def test_a_period_that_no_bundle_can_be_of_is_named_in_its_form_and_recorded(world):
    client = world.client()
    answer = client.post("/audit/bundle/", {"from": "2026-02-02", "to": "2026-02-01"})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert '<span class="problem" id="f-to-error">' in page
    assert "<h1>Checkpoints</h1>" in page
    assert Entry.objects.filter(kind="attempt.refused", actor=str(world.petra.pk)).count() == 1
