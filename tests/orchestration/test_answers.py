"""What became of a step is for somebody to say who operates it, took no part in it, and gives their reason."""

import pytest
from django.db import connection
from django.test import Client

from accounts.acting import Acting
from audit.ledger import openings
from audit.models import Entry
from audit.refusals import Invalid, NotAllowed
from orchestration.engine.resolve import resolve
from orchestration.models import Change, LogChunk, Run, StepAttempt
from tests.accounts.cast import bearer, issue
from tests.approvals.cast import person
from tests.browser import Browser
from tests.factories import Bank, change_in
from tests.orchestration.deeds import both, told

pytestmark = pytest.mark.django_db(transaction=True)
ANSWER = {"step": "pause", "decision": "done", "reason": "The host shows version 42."}


@pytest.fixture
def bank():
    return Bank()


@pytest.fixture
def run(bank):
    change_in(Change.State.UNKNOWN, bank)
    return Run.objects.get()


def page(bank, who, run):
    client = Client()
    client.force_login(bank.user(who))
    return client.get(f"/runs/{run.key}/").content.decode()


def test_whoever_asked_for_it_does_not_vouch_for_it_by_any_door(bank, run):
    refused = Browser(bank, "mara").post(f"runs/{run.key}/resolve/", ANSWER)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
    client = Client()
    client.force_login(bank.user("mara"))
    assert client.post(f"/runs/{run.key}/steps/pause/resolve/", ANSWER).status_code == 403
    with pytest.raises(NotAllowed, match="somebody else"):
        resolve(run.steps.get(), "done", by=bank.people["mara"], reason="Trust me.")
    assert both(run) == ("unknown", "unknown")
    assert told("attempt.refused") == 2


def test_whoever_wrote_what_it_runs_does_not_vouch_for_it(bank, run):
    wrote = sorted(run.conflicted | {bank.user("jonas").person_id})
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE approvals_chain DISABLE TRIGGER USER")
        cursor.execute("UPDATE approvals_chain SET conflicted = %s", [wrote])
        cursor.execute("ALTER TABLE approvals_chain ENABLE TRIGGER USER")
    assert Browser(bank, "jonas").post(f"runs/{run.key}/resolve/", ANSWER).status_code == 403


def test_a_second_account_of_whoever_asked_is_the_same_person(bank, run):
    other = person("Mara2", "payments", of=bank.user("mara").person)
    with pytest.raises(NotAllowed):
        resolve(run.steps.get(), "done", by=Acting(other, "session"), reason="Trust me.")


def test_an_answer_gives_its_reason(bank, run):
    for reason in ("", "  ", "x" * 2001):
        with pytest.raises(Invalid) as refused:
            resolve(run.steps.get(), "done", by=bank.people["jonas"], reason=reason)
        assert refused.value.errors[0]["pointer"] == "/reason"
    with pytest.raises(Invalid, match="one of: done, retry, fail, check"):
        resolve(run.steps.get(), "maybe", by=bank.people["jonas"], reason="I looked.")


def test_a_token_answers_nothing_whosever_it_is(bank, run):
    issued = issue(bank.user("jonas"), "runs:write", by=bank.people["jonas"])
    answer = Client().post(
        f"/api/v1/runs/{run.key}/resolve/", ANSWER, content_type="application/json", **bearer(issued)
    )
    assert answer.status_code == 403
    with pytest.raises(NotAllowed):
        resolve(run.steps.get(), "done", by=Acting(bank.user("jonas"), "token"), reason="I looked.")


def test_somebody_without_the_right_is_told_who_has_it(bank, run):
    refused = Browser(bank, "ravi").post(f"runs/{run.key}/resolve/", ANSWER)
    assert refused.status_code == 404  # not theirs to see at all
    assert "Who can: " in page(bank, "mara", run)
    assert "Jonas" in page(bank, "mara", run)
    assert "How do you know?" not in page(bank, "mara", run)


def test_the_answer_is_kept_with_who_gave_it_and_why(bank, run):
    answer = Browser(bank, "jonas").post(f"runs/{run.key}/resolve/", ANSWER)
    assert (answer.status_code, answer.json()["state"]) == (200, "succeeded")
    assert answer.json()["steps"][0]["attempts"][0]["answer"] == "done"
    entry = Entry.objects.filter(kind="step.succeeded").latest("id")
    data = openings.data(entry)
    assert (entry.actor, data["decision"], data["reason"], data["was"]) == (
        str(bank.user("jonas").pk), "done", ANSWER["reason"], "unknown",
    )  # fmt: skip
    again = Browser(bank, "jonas").post(f"runs/{run.key}/resolve/", ANSWER)
    assert (again.status_code, again.json()["code"]) == (409, "move_not_allowed")


def test_the_page_says_what_is_known_and_shows_the_last_lines(bank, run):
    attempt = StepAttempt.objects.get()
    lines = b"".join(b"line %d\n" % number for number in range(30))
    LogChunk.objects.create(
        attempt=attempt, step=attempt.step, seq=1, stream="stdout", data=lines + b"<b>", at=attempt.started_at,
        first_line=1, offset=0, digest=b"",
    )  # fmt: skip
    StepAttempt.objects.update(log_lines=31)
    shown = page(bank, "jonas", run)
    assert "Nobody saw the end of this step" in shown
    assert "How do you know?" in shown
    assert "line 29" in shown
    assert "line 12\n" not in shown
    assert "&lt;b&gt;" in shown
    assert "Ask its check" not in shown
