"""Group B: nobody counts who asked, who wrote a part of it, who is somebody else's hand, or who has gone."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import Error, connection, transaction
from django.test import Client
from django.utils import timezone

from accounts import permissions, teams
from accounts.acting import Acting
from accounts.models import Team, User, UserSession
from approvals.models import SignOff
from tests.abuse.attack import ECHO, state, was_refused, work
from tests.abuse.test_group_c import OWNER, SECURITY, demand
from tests.accounts.cast import PASSWORD, bearer, issue
from tests.approvals import cast
from tests.browser import REQUEST, Browser
from tests.factories import TEST


def test_b02_a_second_account_of_the_requester_never_counts(case):
    change = case.asked()
    again = cast.person("Mara again", "payments", of=case.bank.user("mara").person)
    case.bank.people["second"] = Acting(again, "session")
    case.at["second"] = Browser(case.bank, "second")
    case.refused("second", case.says("second", change), 403, "own_change")
    case.nothing_started()


def test_b04_whoever_wrote_the_version_agrees_neither_to_it_nor_to_its_changes(case):
    jonas = case.at["jonas"]
    text = ECHO.replace("title: Deploy,", "title: Deploy it,")
    digest = jonas.post("workflows/deploy/versions/", {"source": text}).json()["digest"]
    approve = f"workflows/deploy/versions/{digest}/approve/"
    case.refused("jonas", jonas.post(approve), 403, "own_version")
    assert case.at["mara"].post(approve).status_code == 200
    teams.join(case.bank.teams["payments"], case.bank.user("sam"), by=TEST)
    case.refused("jonas", case.says("jonas", change := case.asked()), 403, "own_change")
    case.says("noor", change)
    case.nothing_started()


TWO = """
apiVersion: countersign.dev/v1
kind: Workflow
metadata: {name: deploy, title: Deploy, owner: payments}
spec:
  summary: Deploy {{service}} {{version}} to {{environment}}
  inputs:
    version: {type: string, pattern: '^[0-9]+([.][0-9]+)*$', title: Version}
  environments: [staging, production]
  steps:
    pause: {uses: wait, with: {seconds: 0}, effect: at_most_once}
    rest: {uses: wait, with: {seconds: 0}, effect: at_most_once}
"""


def stored(case, who, text, approver, **more):
    digest = case.at[who].post("workflows/deploy/versions/", {"source": text, **more}).json()["digest"]
    return case.at[approver].post(f"workflows/deploy/versions/{digest}/approve/")


def test_b04_a_harmless_edit_by_another_does_not_free_who_wrote_the_rest(case):
    """Jonas writes a step, Mara changes the title: what runs is his still."""
    teams.join(case.bank.teams["payments"], case.bank.user("sam"), by=TEST)
    assert stored(case, "jonas", TWO, "mara").status_code == 200
    assert (
        stored(case, "mara", TWO.replace("title: Deploy,", "title: Deploy it,"), "jonas").status_code == 200
    )
    change = case.asked()
    case.refused("jonas", case.says("jonas", change), 403, "own_change")
    case.nothing_started()


def test_b04_who_wrote_a_step_that_is_gone_is_free_again(case):
    assert stored(case, "jonas", TWO, "mara").status_code == 200
    gone = TWO.replace("    rest: {uses: wait, with: {seconds: 0}, effect: at_most_once}\n", "")
    gone = gone.replace("pause: {uses: wait, with: {seconds: 0}", "pause: {uses: wait, with: {seconds: 1}")
    assert stored(case, "mara", gone, "jonas").status_code == 200
    assert case.says("jonas", case.asked()).status_code == 201


def test_b04_commit_authors_agree_neither_to_the_version_nor_to_its_changes(case):
    """Sam stores what Jonas committed; Ravi is the one who is left to agree."""
    for name in ("sam", "ravi"):
        teams.join(case.bank.teams["payments"], case.bank.user(name), by=TEST)
    case.at["sam"] = Browser(case.bank, "sam")
    refused = stored(case, "sam", TWO, "jonas", authors=["jonas"])
    case.refused("jonas", refused, 403, "own_version")
    assert stored(case, "sam", TWO, "mara", authors=["jonas"]).status_code == 200
    case.refused("jonas", case.says("jonas", case.asked()), 403, "own_change")
    unknown = case.at["sam"].post("workflows/deploy/versions/", {"source": TWO, "authors": ["nobody"]})
    assert (unknown.status_code, unknown.json()["errors"][0]["pointer"]) == (422, "/authors")
    case.nothing_started()


def test_b05_whoever_answers_for_the_machine_that_asked_never_counts(case):
    jonas = case.bank.user("jonas")
    robot = teams.create_service_account(
        username="ci", name="ci@payments", person=jonas.person, ceiling=["changes:write"], by=TEST
    )
    teams.join(case.bank.teams["payments"], robot, by=TEST)
    asked = Client().post(
        "/api/v1/changes/", REQUEST, content_type="application/json",
        headers={**bearer(issue(robot, "changes:write"))["headers"], "Idempotency-Key": "one"},
    )  # fmt: skip
    assert asked.status_code == 201, asked.content
    change = case.seen(asked.json())
    case.refused("jonas", case.says("jonas", change), 403, "own_change")
    case.says("noor", change)
    case.nothing_started()
    assert case.says("mara", change).status_code == 201


def test_b06_a_requester_who_joins_the_approvers_stays_the_requester(case):
    change = case.asked()
    teams.join(case.bank.teams["security"], case.bank.user("mara"), by=TEST)
    case.refused("mara", case.says("mara", change, at_stage="Security"), 403, "own_change")
    case.says("jonas", change)
    case.nothing_started()


def test_b07_whoever_has_just_joined_decides_nothing_and_joining_is_no_edit(case):
    demand({**OWNER, "member_for": 86_400})
    old = "UPDATE accounts_membership SET since = since - interval '2 days' WHERE user_id = %s"
    cast.sql(old, case.bank.user("jonas").pk)
    sam = case.at["sam"]
    case.refused("sam", sam.post("teams/payments/", {"members": ["sam"]}), 405, "method_not_allowed")
    change = case.asked()
    teams.join(case.bank.teams["payments"], case.bank.user("ravi"), by=TEST)
    case.refused("ravi", case.says("ravi", change), 403, "not_eligible")
    case.nothing_started()
    assert case.says("jonas", change).status_code == 201


def test_b09_whoever_was_switched_off_no_longer_counts_and_is_never_deleted(case):
    change = case.approved()
    jonas = case.bank.user("jonas")
    teams.deactivate(jonas, by=TEST)
    case.nothing_started()
    was_refused("gate_quorum_lost")
    for delete in (lambda: User.objects.get(pk=jonas.pk).delete(), lambda: _sql(jonas)):
        with pytest.raises(Error), transaction.atomic():
            delete()
    assert User.objects.filter(pk=jonas.pk).exists()
    assert SignOff.objects.filter(user=jonas).exists()
    assert state(change) == "approved"


def _sql(user: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM accounts_user WHERE id = %s", [user.pk])


def test_b10_whoever_left_the_team_after_signing_is_not_believed_because_of_a_copy(case):
    """There is one record of who is in which team, and the gate reads it: nothing of it can be stale."""
    change = case.approved()
    teams.leave(case.bank.teams["security"], case.bank.user("noor"), by=TEST)
    case.nothing_started()
    was_refused("gate_quorum_lost")
    assert case.seen(change)["state"] == "approved"


def test_b10_a_copy_of_a_directory_that_has_not_told_for_a_day_is_not_believed(case):
    teams.synced(case.bank.teams["security"], by=TEST)
    change = case.approved()
    cast.sql("UPDATE accounts_team SET synced_at = now() - interval '25 hours' WHERE slug = 'security'")
    case.nothing_started()
    was_refused("membership_unknown")
    teams.synced(Team.objects.get(slug="security"), by=TEST)
    work()
    assert state(change) == "succeeded"


def lend(case, who: str, to: str) -> Any:
    ends = (timezone.now() + timedelta(days=7)).isoformat()
    return case.at[who].post("me/delegations/", {"delegate": to, "ends_at": ends})


def test_b11_a_place_is_lent_neither_to_the_requester_nor_in_a_circle_nor_further(case):
    change = case.asked()
    assert lend(case, "noor", "mara").status_code == 201
    case.refused("mara", case.says("mara", change, at_stage="Security"), 403, "own_change")
    for who, to in (("mara", "noor"), ("mara", "ines"), ("jonas", "noor")):
        case.refused(who, lend(case, who, to), 409, "delegation_passed_on")
    case.refused("jonas", lend(case, "jonas", "jonas"), 422, "invalid")
    assert case.says("jonas", change).status_code == 201
    case.nothing_started()
    assert not SignOff.objects.filter(user=case.bank.user("mara")).exists()


def test_b11_whoever_stands_in_for_the_requester_never_counts(case):
    change = case.asked()
    assert case.says("noor", change).status_code == 201
    assert lend(case, "mara", "jonas").status_code == 201
    case.refused("jonas", case.says("jonas", change), 403, "own_change")
    case.nothing_started()


def test_b12_a_place_that_is_lent_gives_no_second_sign_off(case):
    demand(OWNER, {**SECURITY, "order": 1, "quorum": 2})
    for one in (case.bank.workflow, case.bank.service, case.bank.environment("production")):
        permissions.grant(case.bank.teams["elsewhere"], "sign_off", one, by=TEST)
    assert lend(case, "ines", "ravi").status_code == 201
    for first, second in (("ines", "ravi"), ("ravi", "ines")):
        change = case.asked()
        assert case.says("jonas", change).status_code == 201
        assert case.says(first, change, at_stage="Security").status_code == 201
        case.refused(second, case.says(second, change, at_stage="Security"), 409, "already_decided")
        case.nothing_started()
        assert state(change) == "waiting"
    assert case.says("noor", change).status_code == 201
    assert state(change) == "approved"


def test_b13_nobody_decides_in_the_name_of_another(case):
    change, noor = case.asked(), case.bank.user("noor")
    for field in (
        "approver",
        "on_behalf_of",
        "user",
        "person",
        "actor",
        "approved_by",
        "delegate",
        "given_by",
    ):
        answer = case.says("mara", change, **{field: str(noor.pk)})
        case.refused("mara", answer, 422, "invalid")
        assert answer.json()["errors"][0]["pointer"] == f"/{field}"
    assert not SignOff.objects.exists()


NAMES = (
    "Remote-User",
    "X-Remote-User",
    "X-Forwarded-User",
    "X-Auth-User",
    "X-User",
    "X-Sudo",
    "Impersonate-User",
)


def test_b15_no_header_address_or_switch_makes_one_another_person(case):
    change, mara = case.asked(), case.at["mara"]
    noor = case.bank.user("noor")
    for name in NAMES:
        mara.client.defaults = {f"HTTP_{name.upper().replace('-', '_')}": "noor"}
        case.refused("mara", case.says("mara", change, at_stage="Security"), 403, "own_change")
    mara.client.defaults = {"REMOTE_USER": "noor"}
    case.refused("mara", case.says("mara", change, at_stage="Security"), 403, "own_change")
    mara.client.defaults = {}
    for asked in ("user", "as", "sudo", "_user"):
        assert mara.get("me/", **{asked: "noor"}).json()["username"] == "mara"
    assert mara.client.post("/demo/persona/", {"persona": str(noor.pk)}).status_code == 404
    assert mara.get("me/").json()["username"] == "mara"


def test_b16_a_session_that_ended_signs_nothing(case):
    change = case.asked()
    ended = {"jonas": _switched_off, "noor": _password_changed, "ines": _out_of_time}
    for who, end in ended.items():
        end(case.bank.user(who))
        answer = case.says(who, change)
        assert (answer.status_code, answer.json()["code"]) == (401, "not_signed_in"), who
    assert not SignOff.objects.exists()


def _switched_off(user: User) -> None:
    teams.deactivate(user, by=TEST)


def _password_changed(user: User) -> None:
    """Elsewhere, in another browser of the same person."""
    elsewhere, new = Client(), "a-longer-better-phrase"
    user.set_password(PASSWORD)
    cast.sql("UPDATE accounts_user SET password = %s WHERE id = %s", user.password, user.pk)
    elsewhere.post("/accounts/login/", {"login": user.username, "password": PASSWORD})
    typed = {"oldpassword": PASSWORD, "password1": new, "password2": new}
    assert elsewhere.post("/accounts/password/change/", typed).status_code == 302


def _out_of_time(user: User) -> None:
    late = timezone.now() - timedelta(seconds=1)
    UserSession.objects.filter(user=user).update(expire_date=late)


def test_b17_the_cookie_of_a_session_is_out_of_reach_of_scripts_and_foreign_pages(case):
    user, client = case.bank.user("mara"), Client()
    user.set_password(PASSWORD)
    cast.sql("UPDATE accounts_user SET password = %s WHERE id = %s", user.password, user.pk)
    planted = "a" * 32
    client.cookies["session"] = planted
    assert client.post("/accounts/login/", {"login": "mara", "password": PASSWORD}).status_code == 302
    cookie = client.cookies["session"]
    assert cookie.value != planted
    thief = Client()
    thief.cookies["session"] = planted
    assert thief.get("/api/v1/me/").status_code == 401
    assert (cookie["httponly"], cookie["samesite"], cookie["domain"]) == (True, "Lax", "")


def test_b20_one_person_in_both_teams_does_not_complete_the_chain(case):
    for slug in ("payments", "security"):
        teams.join(case.bank.teams[slug], case.bank.user("ravi"), by=TEST)
    change = case.asked()
    assert case.says("ravi", change).status_code == 201
    case.refused("ravi", case.says("ravi", change, at_stage="Security"), 409, "already_decided")
    case.nothing_started()
    assert state(change) == "waiting"
