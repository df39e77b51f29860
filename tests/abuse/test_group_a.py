"""Group A: an agreement is worth something for exactly what was read, and for nothing else."""

import json
import unicodedata
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from approvals import freezes
from approvals.models import Chain
from audit.canonical import parse
from audit.models import Entry
from orchestration.models import Change, Run, StepAttempt
from tests.abuse.attack import ECHO, Case, printed, state, was_refused, work
from tests.approvals.cast import sql
from tests.browser import REQUEST
from tests.orchestration.planned import now, work_all


def publish(case: Case, text: str, files: dict[str, str] | None = None) -> None:
    """Mara writes a version, Jonas approves it."""
    mara, jonas = case.at["mara"], case.at["jonas"]
    made = mara.post("workflows/deploy/versions/", {"source": text, "files": files or {}})
    assert made.status_code == 201, made.content
    approve = f"workflows/deploy/versions/{made.json()['digest']}/approve/"
    assert jonas.post(approve).status_code == 200


def test_a02_a_run_executes_the_version_that_was_read_and_not_the_one_that_came_after(case):
    change = case.approved()
    publish(case, ECHO.replace("one {{inputs", "two {{inputs"))
    work()
    assert printed() == "one 42 web-bank\n"
    assert case.seen(change)["workflow_version"] == 1


def test_a04_an_edit_of_the_environment_asks_everybody_anew(case):
    change = case.approved()
    sam = case.at["sam"]
    tag = sam.get("environments/production/").headers["ETag"]
    edited = sam.patch("environments/production/", {"name": "Elsewhere"}, **{"If-Match": tag})
    assert edited.status_code == 200, edited.content
    assert state(change) == "sent_back"
    case.refused("ines", case.says("ines", change), 409, "not_waiting")
    case.nothing_started()


SECRET = {"path": "payments/db-password", "owner": "payments", "environments": ["production"],
          "services": ["web-bank"], "workflows": ["deploy"]}  # fmt: skip
SIGNED, EXCHANGED = "Tr0ub4dor&3-signed", "exchanged-behind-the-approval"


def secretly(case: Case, said: str) -> str:
    """A definition whose step tells how long its secret is; Mara stores the secret, and its key is returned."""
    mara = case.at["mara"]
    made = mara.post("secrets/", SECRET).json()["id"]
    assert mara.post(f"secrets/{made}/versions/", {"value": SIGNED}).status_code == 201
    counts = """{argv: [/bin/sh, -c, 'wc -c < "$STEP_SECRETS/PASSWORD"'], env: {V: "{{inputs.version}}"}}"""
    text = ECHO.replace('{argv: [/bin/echo, "one {{inputs.version}} {{service}}"]}', counts)
    publish(case, text.replace(f"with: {counts}", f"with: {counts}, secrets: {{PASSWORD: {said}}}"))
    return str(made)


def test_a05_a_secret_that_is_exchanged_behind_an_approval_is_not_what_the_run_gets(case):
    key = secretly(case, "payments/db-password")
    change = case.approved()
    assert [(one["path"], one["version"]) for one in change["secrets"]] == [("payments/db-password", "1")]
    assert case.at["mara"].post(f"secrets/{key}/versions/", {"value": EXCHANGED}).status_code == 201
    work()
    assert printed().strip() == str(len(SIGNED))
    assert state(change) == "succeeded"


def test_a05_where_the_signed_version_is_gone_the_run_stops_and_takes_no_other(case):
    key = secretly(case, "payments/db-password")
    change = case.approved()
    case.at["mara"].post(f"secrets/{key}/versions/", {"value": EXCHANGED})
    assert case.at["mara"].post(f"secrets/{key}/versions/1/destroy/").status_code == 200
    case.nothing_started()
    was_refused("secret_gone")
    assert state(change) == "approved"


def test_a05_the_newest_is_taken_only_where_reviewers_were_told_so_and_the_ledger_tells_which(case):
    key = secretly(case, "{path: payments/db-password, version: latest}")
    change = case.approved()
    assert change["secrets"][0]["version"] == "latest"
    case.at["mara"].post(f"secrets/{key}/versions/", {"value": EXCHANGED})
    work()
    assert printed().strip() == str(len(EXCHANGED))
    told = parse(bytes(Entry.objects.get(kind="secret.handed_over").body))["data"]["secrets"][0]
    assert (told["version"], told["latest"]) == ("2", True)


def test_a05_nothing_else_in_a_definition_reaches_a_secret(case):
    for line in ('env: {TOKEN: "{{secrets.token}}"}', "secrets: [token]"):
        text = ECHO.replace("with: {", f"with: {{{line}, ")
        answer = case.at["mara"].post("workflows/deploy/versions/", {"source": text})
        case.refused("mara", answer, 422, "bad_definition")


AMBIGUOUS = {
    '"version": "42", "version": "43"': "invalid",
    '"version": 1': "inputs_invalid",
    '"version": 1.0': "inputs_invalid",
    '"version": "42", "__proto__": {"version": "43"}': "inputs_invalid",
    '"version": "42", "constructor": "x"': "inputs_invalid",
    '"version": ' + "9" * 400: "inputs_invalid",
    '"version": NaN': "invalid",
    '"version": "\\ud800"': "invalid",
    '"version": "\\u0000"': "invalid",
}


def test_a09_what_two_readers_could_read_in_two_ways_is_refused(case):
    for raw, code in AMBIGUOUS.items():
        body = json.dumps({**REQUEST, "inputs": "HERE"}).replace('"HERE"', "{" + raw + "}")
        answer = case.at["mara"].client.post(
            "/api/v1/changes/",
            body,
            content_type="application/json",
            headers={"Idempotency-Key": str(uuid4())},
        )
        case.refused("mara", answer, 422, code)
    assert not Change.objects.exists()


def test_a09_two_spellings_of_one_word_are_two_contents_and_each_runs_as_it_was_signed(case):
    composed, apart = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
    changes = [case.approved(inputs={"version": one}) for one in (composed, apart)]
    assert changes[0]["digest"] != changes[1]["digest"]
    work()
    assert f"one {composed} web" in printed()
    assert f"one {apart} web" in printed()
    assert composed != apart


HIDDEN = {
    "turned round": "\u202egro.live\u202c",
    "no width": "a\u200bb",
    "mark of bytes": "a\ufeffb",
    "isolate": "\u2066a\u2069",
    "tag letters": "a\U000e0041",
    "soft hyphen": "a\u00adb",
}


def test_a10_no_text_that_a_reviewer_reads_holds_what_turns_round_or_hides_its_neighbours(case):
    mara, jonas = case.at["mara"], case.at["jonas"]
    change = case.asked()
    for hiding in HIDDEN.values():
        asked = mara.post("changes/", {**REQUEST, "inputs": {"version": hiding}})
        case.refused("mara", asked, 422, "inputs_invalid")
        for refused in (
            mara.post("changes/", {**REQUEST, "reason": hiding}),
            mara.post(f"changes/{change['key']}/comments/", {"text": hiding}),
        ):
            case.refused("mara", refused, 422, "invalid")
        for words in ({"comment": hiding}, {"decision": "approve_with_condition", "condition": hiding}):
            case.refused("jonas", case.says("jonas", change, **words), 422, "invalid")
        for version in (
            {"source": ECHO + f"# {hiding}\n"},
            {"source": ECHO, "files": {"it.sh": f"true {hiding}\n"}},
        ):
            case.refused("mara", mara.post("workflows/deploy/versions/", version), 422, "bad_definition")
    assert jonas.get("changes/").json()["results"][0]["key"] == change["key"]


def test_a10_a_joiner_that_some_scripts_need_is_written_out_in_what_will_run(case):
    change = case.asked(inputs={"version": "a\u200db"})
    page = case.at["jonas"].client.get(f"/changes/{change['key']}/").content.decode()
    assert "one a\\u200db web-bank" in page


def test_a10_a_long_value_is_shown_to_its_end(case):
    tail = "x" * 3000 + "; rm -rf /"
    change = case.asked(inputs={"version": tail})
    assert "; rm -rf /" in case.at["jonas"].client.get(f"/changes/{change['key']}/").content.decode()


def test_a10_a_value_of_one_line_takes_no_second(case):
    answer = case.at["mara"].post("changes/", {**REQUEST, "inputs": {"version": "42\nrm -rf /"}})
    case.refused("mara", answer, 422, "inputs_invalid")


def test_a11_what_a_reference_named_is_what_was_signed_whatever_its_record_says_later(case):
    change = case.approved(inputs={"version": "{{environment}} {{inputs.version}} ${HOME} $(id)"})
    signed = case.seen(change)["steps"]
    assert signed[0]["with"]["argv"] == [
        "/bin/echo", "one {{environment}} {{inputs.version}} ${HOME} $(id) web-bank",
    ]  # fmt: skip
    work()
    assert printed() == "one {{environment}} {{inputs.version}} ${HOME} $(id) web-bank\n"


def test_a11_a_definition_names_nothing_that_could_differ_when_it_runs(case):
    for reference in ("steps.build.output", "env.HOME", "lookup('file', 'x')", "7*7", "secrets.x", "now"):
        text = ECHO.replace('{{service}}"', "{{" + reference + '}}"')
        answer = case.at["mara"].post("workflows/deploy/versions/", {"source": text})
        case.refused("mara", answer, 422, "bad_definition")


FETCHING = [
    ("  steps:\n", "  include: https://example.test/steps.yaml\n  steps:\n"),
    ("    say: {", "    say: {$ref: 'https://example.test/step.json', "),
    ("{type: string,", "{$ref: 'https://example.test/schema.json', type: string,"),
    ("{type: string,", "!include other.yaml {type: string,"),
]


def test_a12_a_definition_fetches_nothing(case):
    for old, new in FETCHING:
        assert old in ECHO
        answer = case.at["mara"].post("workflows/deploy/versions/", {"source": ECHO.replace(old, new)})
        case.refused("mara", answer, 422, "bad_definition")


def test_a12_a_script_is_part_of_what_was_signed_whatever_its_file_says_later(case):
    text = ECHO.replace(
        'argv: [/bin/echo, "one {{inputs.version}} {{service}}"]}', "argv: [./it.sh]}, files: [it.sh]"
    )
    publish(case, text, {"it.sh": "#!/bin/sh\necho first\n"})
    change = case.approved()
    publish(case, text, {"it.sh": "#!/bin/sh\necho second\n"})
    work()
    assert (printed(), state(change)) == ("first\n", "succeeded")


def test_a13_a_sign_off_of_one_change_is_refused_on_another(case):
    one, other = case.asked(), case.asked(environment="staging")
    body = {"digest": one["digest"], "chain_digest": one["chain"]["digest"]}
    case.refused("jonas", case.says("jonas", other, **body), 409, "stale_version")
    stage = one["chain"]["stages"][0]["id"]
    case.refused("jonas", case.says("jonas", other, stage=stage), 409, "stale_version")
    case.nothing_started()


def test_a14_asking_for_the_same_again_asks_everybody_again(case):
    done = case.approved()
    work()
    assert state(done) == "succeeded"
    case.refused("jonas", case.at["jonas"].post(f"changes/{done['key']}/start/"), 409, "move_not_allowed")
    again = case.asked()
    attempts = StepAttempt.objects.count()
    work()
    assert (state(again), StepAttempt.objects.count()) == ("waiting", attempts)
    assert again["digest"] != done["digest"]


def test_a16_an_approval_that_has_expired_starts_nothing_and_takes_no_more(case, monkeypatch):
    change, waiting = case.approved(), case.asked()
    expired = Chain.objects.latest("expires_at").expires_at
    monkeypatch.setattr(freezes, "active", lambda _: freezes.Judged(expired, []))
    case.nothing_started()
    was_refused("gate_approval_expired")
    monkeypatch.setattr("approvals.signoffs.database_time", lambda: expired)
    case.refused("jonas", case.says("jonas", waiting), 409, "chain_closed")
    assert Run.objects.get().state == "ready"
    assert state(change) == "approved"


def a17(case, place):
    """A change that was planned while this stood there: it waits for both owners and Security."""
    now(place, "version 41\n")
    asked = case.asked(inputs={"version": "42", "place": str(place)})
    assert (asked["state"], asked["digest"], asked["chain"]) == ("draft", None, None)
    work_all()
    return case.seen(asked)


def test_a17_what_stood_there_changed_after_the_plan_and_what_was_read_is_applied(planning_case, tmp_path):
    case = planning_case
    change = a17(case, tmp_path)
    now(tmp_path, "everything else\n")
    for who in ("jonas", "noor"):
        assert case.says(who, change).status_code == 201
    work()
    assert (state(change), (tmp_path / "next").read_text()) == ("succeeded", "version 41\nversion 42\n")


def test_a17_a_plan_that_differs_under_the_same_title_voids_what_was_signed(planning_case, tmp_path):
    case = planning_case
    change = a17(case, tmp_path)
    assert case.says("jonas", change).status_code == 201
    now(tmp_path, "everything else\n")
    again = case.at["mara"].post(f"changes/{change['key']}/plan/")
    assert again.status_code == 201, again.content
    work_all()
    seen = case.seen(change)
    assert (seen["title"], seen["inputs"], seen["revision"]) == (change["title"], change["inputs"], 2)
    assert seen["digest"] != change["digest"]
    case.refused("noor", case.says("noor", change), 409, "stale_version")
    assert [one["sign_offs"] for one in seen["chain"]["stages"]] == [[], []]
    work()
    assert not (tmp_path / "next").exists()
    assert not Run.objects.applying().exists()


def test_a17_a_file_exchanged_in_the_database_after_the_approval_starts_nothing(planning_case, tmp_path):
    case = planning_case
    change = a17(case, tmp_path)
    for who in ("jonas", "noor"):
        assert case.says(who, change).status_code == 201
    sql("UPDATE orchestration_artifact SET data = 'everything else'")
    work()
    was_refused("artifact_altered")
    assert not (tmp_path / "next").exists()


def test_a17_a_step_that_could_change_something_never_plans(case):
    for effect in ("idempotent", "at_most_once"):
        text = ECHO.replace("say: {", f"say: {{phase: plan, effect: {effect}, ")
        answer = case.at["mara"].post("workflows/deploy/versions/", {"source": text})
        case.refused("mara", answer, 422, "bad_definition")
        assert "read_only" in answer.json()["detail"]


def test_a18_a_schedule_that_is_pointed_elsewhere_asks_everybody_anew(case):
    begins = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    times = {"not_before": begins.isoformat(), "not_after": (begins + timedelta(hours=1)).isoformat()}
    change = case.approved(**times, repeats={"zone": "UTC", "rule": "FREQ=DAILY;COUNT=3"})
    assert change["state"] == "scheduled"
    mara = case.at["mara"]
    for pointed in (
        {"repeats": {"zone": "UTC", "rule": "FREQ=DAILY;COUNT=4"}},
        {"inputs": {"version": "43"}},
        {"not_after": (begins + timedelta(hours=2)).isoformat()},
    ):
        tag = mara.get(f"changes/{change['key']}/").headers["ETag"]
        edited = mara.patch(f"changes/{change['key']}/", pointed, **{"If-Match": tag})
        assert edited.status_code == 200, edited.content
        assert edited.json()["state"] == "waiting"
        case.refused("jonas", case.says("jonas", change), 409, "stale_version")
        case.nothing_started()
        seen = case.seen(change)
        assert seen["digest"] != change["digest"]
        for who in ("jonas", "noor"):
            assert case.says(who, seen).status_code == 201
        change = case.seen(change)
        assert change["state"] == "scheduled"
