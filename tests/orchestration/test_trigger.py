"""`trigger` against six orchestrators: one job for each key, whatever breaks, and its end told as it is."""

import json
import os
import signal
import threading
import time
from dataclasses import replace

import psutil
import pytest

from orchestration.actions import egress, registry
from orchestration.actions.base import Cancelled, Failed
from orchestration.actions.trigger import action
from orchestration.actions.trigger import far as speech
from orchestration.actions.trigger.action import KINDS, Trigger
from tests.orchestration import orchestrators
from tests.orchestration.far import Told, context, far
from tests.orchestration.orchestrators import ALL, TOKEN
from tests.orchestration.test_supervise import Watched

KEY = "0198c0de-0000-7000-8000-000000000001"
FINAL = [(name, word, state) for name, kind in ALL.items() for word, state in kind.words.items()]


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    """This machine is allowed, the token is a secret, and pauses are short."""
    monkeypatch.setenv(egress.ALLOWED, "127.0.0.1")
    monkeypatch.setenv("STEP_SECRETS", str(tmp_path))
    (tmp_path / "TOKEN").write_text(TOKEN + "\n")
    for name in ("FIRST_LOOK_SECONDS", "SEARCH_SECONDS"):
        monkeypatch.setattr(action, name, 0.01)
    monkeypatch.setattr(speech, "FIRST_PAUSE_SECONDS", 0.005)
    monkeypatch.setattr(speech, "LONGEST_PAUSE_SECONDS", 0.02)


@pytest.fixture(params=ALL)
def there(request):
    """One orchestrator after the other."""
    yield from _served(request.param)


def _served(name):
    made = ALL[name]()
    with far(made) as server:
        made.url, made.server = server.url, server
        yield made


@pytest.fixture
def one():
    """An orchestrator of the test's choice."""
    held = []

    def serve(name):
        generator = _served(name)
        held.append(generator)
        return next(generator)

    yield serve
    for generator in held:
        next(generator, None)


def run(there, *, key=KEY, seconds=20.0, **more):
    made, lines = context(there.with_(**more), key=key, seconds=seconds)
    return Trigger().run(made), lines


def reason(there, **more):
    try:
        return run(there, **more)[0].reason
    except Failed as error:
        return str(error)


def is_start(there, asked):
    """Whether this request starts a job."""
    return asked.method == "POST" and asked.path.endswith(
        ("/dispatches", "/pipeline", "/buildWithParameters", "/launch/", "/dagRuns", "/submit")
    )


def test_a_job_is_started_once_and_told_to_its_end(there):
    done, lines = run(there)
    assert done.succeeded
    assert len(there.jobs) == 1
    assert (done.outputs["state"], done.outputs["link"].startswith("http")) == ("succeeded", True)
    told = [line for line in lines if line.startswith(KINDS[there.name].title)]
    assert len(told) == len(set(told)) >= 2
    assert all(done.outputs["link"].rpartition("/")[0].partition("/queue")[0][:20] in line for line in told)
    assert not any(TOKEN in line for line in lines)


def test_what_the_step_gives_arrives(there):
    run(there)
    [job] = there.jobs
    sent = json.dumps({name: value for name, value in job.items() if name != "walk"}, default=str)
    assert "1.2.3" in sent
    assert KEY in sent


@pytest.mark.parametrize(("name", "word", "state"), FINAL)
def test_each_end_is_told_as_what_it_is(one, name, word, state):
    there = one(name)
    there.script = [*there.looks, word]
    done, _ = run(there)
    assert (done.succeeded, done.outputs["state"]) == (state == "succeeded", state)
    assert done.succeeded or done.outputs["link"] in done.reason


def test_no_word_of_theirs_is_taken_for_another(there):
    there.script = [*there.looks, "perhaps"]
    told = reason(there)
    assert "which is not known here" in told
    assert "may still be running" in told


def test_every_word_that_a_protocol_knows_is_known():
    """As their documents list them; a new one is told, not guessed."""
    from orchestration.actions.trigger import airflow, argo, awx, github, gitlab, jenkins

    assert set(github.STATUSES) == {"requested", "queued", "pending", "waiting", "in_progress"}
    assert set(github.CONCLUSIONS) == set(orchestrators.GitHub.words)
    assert len(gitlab.STATES) == 13
    assert set(jenkins.RESULTS) == set(orchestrators.Jenkins.words)
    assert set(awx.STATES) == {*orchestrators.Awx.looks, *orchestrators.Awx.words}
    assert set(airflow.STATES) == {"queued", "running", "success", "failed"}
    assert set(argo.PHASES) == {"", "Pending", "Running", "Succeeded", "Failed", "Error"}


def test_another_attempt_finds_the_job_and_starts_none(there):
    """A worker that vanished has started it; the next attempt has the same key and nothing else."""
    there.script = [*there.looks, *[there.looks[-1]] * 3, there.done]
    made, _ = context(there.with_(), key=KEY)
    KINDS[there.name](there.with_()[there.name], made).start(KEY)
    assert len(there.jobs) == 1
    done, lines = run(there)
    assert done.succeeded
    assert len(there.jobs) == 1
    assert any("found the job" in line for line in lines)


def test_another_attempt_finds_the_job_even_when_it_has_ended(there):
    first, _ = run(there)
    second, _ = run(there)
    assert first.outputs["link"].rpartition("/")[0] == second.outputs["link"].rpartition("/")[0]
    assert len(there.jobs) == 1


def test_another_step_gets_a_job_of_its_own(there):
    run(there)
    run(there, key=KEY[:-1] + "2")
    assert len(there.jobs) == 2


def test_a_killed_worker_leaves_a_job_that_the_next_attempt_finds(one, tmp_path):
    """With real processes: the first attempt's whole tree is killed as soon as its job has begun."""
    there = one("github")
    there.script = ["queued"]

    def attempt():
        made = Watched(there.with_(), uses="trigger")
        made.attempt = replace(made.attempt, env={"STEP_SECRETS": str(tmp_path)}, idempotency_key=KEY)
        return made

    lost = attempt()

    def kill(chunk):
        if b"queued" in chunk.data:
            os.kill(
                psutil.Process(lost.left()[0]).ppid(), signal.SIGKILL
            )  # its supervisor, and all below dies with it

    lost.take = kill
    assert lost.run().state == "unknown"
    assert len(there.jobs) == 1
    there.jobs[0]["walk"].extend(["in_progress", "success"])
    again = attempt()
    outcome = again.run()
    assert (outcome.state, outcome.outputs["state"], len(there.jobs)) == ("succeeded", "succeeded", 1)
    assert there.cancelled == []


def checked(there):
    return Trigger().check(context(there.with_(), key=KEY, seconds=20.0)[0])


def test_a_check_looks_and_never_starts(there):
    found = checked(there)
    assert not found.succeeded
    assert "has no job that was started under this key" in found.reason
    assert there.jobs == []
    run(there)
    assert checked(there).succeeded
    assert (len(there.jobs), there.cancelled) == (1, [])


def test_a_start_that_was_taken_but_not_answered_is_found(there):
    def cut(asked):
        if not is_start(there, asked):
            return None
        assert there.answer(asked).status < 300
        return Told(200, b"", {"Content-Length": "100"})

    there.trouble.append(cut)
    done, lines = run(there)
    assert done.succeeded
    assert len(there.jobs) == 1
    assert any("Looking whether" in line for line in lines)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b"[]", b'"x"', b"{}", b'{"id": {}, "workflow_run_id": "x"}']
)
def test_a_start_that_is_answered_with_nonsense_starts_no_second_job(there, body):
    def garble(asked):
        if not is_start(there, asked):
            return None
        return Told(there.answer(asked).status, body)

    there.trouble.append(garble)
    assert run(there)[0].succeeded
    assert len(there.jobs) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_start_that_fails_over_there_is_never_repeated(there, status):
    there.trouble.append(lambda asked: Told(status, b"sorry") if is_start(there, asked) else None)
    told = reason(there)
    assert "look there before it is repeated" in told
    assert there.jobs == []
    assert sum(is_start(there, asked) for asked in there.server.asked) == 1


def test_too_many_requests_are_taken_back_as_long_as_the_answer_asks(there):
    there.trouble.append(
        lambda asked: Told(429, b"", {"Retry-After": "1"}) if is_start(there, asked) else None
    )
    begun = time.monotonic()
    assert run(there)[0].succeeded
    assert time.monotonic() - begun >= 1
    assert len(there.jobs) == 1


@pytest.mark.parametrize(
    "trouble",
    [
        Told(500, b"oops"), Told(502), Told(503, b"", {"Retry-After": "0"}), Told(429, b"", {"Retry-After": "0"}),
        Told(429, b"", {"Retry-After": "Mon, 01 Jan 2024 00:00:00 GMT"}), Told(200, b"{"), Told(200, b"<html>"),
        Told(200, b"", {"Content-Length": "10"}),
    ],
)  # fmt: skip
def test_a_look_that_goes_wrong_is_repeated(there, trouble):
    def once(asked):
        return trouble if there.jobs and asked.method == "GET" else None

    there.trouble.extend([once, once])
    assert run(there)[0].succeeded
    assert len(there.jobs) == 1


@pytest.mark.parametrize(
    "shape", [[], {}, None, "text", 7, {"status": None}, {"status": 7, "state": [], "results": 1}]
)
def test_json_of_another_shape_is_never_a_success(there, shape):
    there.trouble.extend(
        [lambda asked: Told(200, shape) if there.jobs and asked.method == "GET" else None] * 500
    )
    with pytest.raises((Failed, Cancelled)) as told:
        run(there, seconds=1)
    assert told.type is Cancelled or "not understood" in str(told.value) or "not known" in str(told.value)


def test_an_orchestrator_that_stays_away_is_told_with_where_to_look(there):
    there.trouble.extend([lambda asked: Told(503) if there.jobs and asked.method == "GET" else None] * 50)
    told = reason(there)
    assert "may still be running: http" in told
    assert there.cancelled == []


def test_a_wrong_credential_starts_nothing(there, tmp_path):
    (tmp_path / "TOKEN").write_text("wrong")
    told = reason(there)
    assert "401" in told or "does not let" in told
    assert "wrong" not in told
    assert there.jobs == []


def test_a_stopped_run_stops_the_job(there):
    there.script = [there.looks[-1]]
    made, lines = context(there.with_(), key=KEY)
    say = made.say

    def stop(line):
        say(line)
        if there.jobs:
            made.cancelled.set()

    with pytest.raises(Cancelled):
        Trigger().run(replace(made, say=stop))
    assert there.cancelled == [there.jobs[0]["id"]]
    assert "was asked to cancel" in lines[-1]


def test_a_run_that_is_stopped_while_its_job_is_started_stops_it_too(there):
    """The request is on its way: what it started is found by its key."""
    made, _ = context(there.with_(), key=KEY)

    def slow(asked):
        if not is_start(there, asked):
            return None
        told = there.answer(asked)
        made.cancelled.set()
        threading.Event().wait(0.6)
        return told

    there.script = [there.looks[-1]]
    there.trouble.append(slow)
    with pytest.raises(Cancelled):
        Trigger().run(made)
    assert there.cancelled == [there.jobs[0]["id"]]


def test_a_job_that_cannot_be_cancelled_is_told_with_where_to_look(there):
    there.script = [there.looks[-1]]
    made, lines = context(there.with_(), key=KEY)

    def refuse(asked):
        if asked.path.endswith(("/cancel", "/cancel/", "/stop", "/cancelItem")) or asked.method == "PATCH":
            return Told(403, {"message": "no"})
        if there.jobs:
            made.cancelled.set()
        return None

    there.trouble.append(refuse)
    with pytest.raises(Cancelled):
        Trigger().run(made)
    assert "look there" in lines[-1]


def test_a_step_that_runs_out_of_time_cancels_its_job(one, tmp_path):
    there = one("gitlab")
    there.script = ["running"]
    made = Watched(there.with_(), uses="trigger", timeout_seconds=3, grace_seconds=8)
    made.attempt = replace(made.attempt, env={"STEP_SECRETS": str(tmp_path)})
    assert made.run().state == "timed_out"
    assert there.cancelled == [there.jobs[0]["id"]]
    assert TOKEN not in made.text


# --- what only one of them does ---------------------------------------------------------------------------------


def test_an_older_github_does_not_tell_the_run_which_is_found_by_its_title(one):
    there = one("github")
    there.tells_run = False
    assert run(there)[0].succeeded
    assert len(there.jobs) == 1


def test_without_a_key_input_github_has_to_tell_the_run(one):
    there = one("github")
    with_ = there.with_()
    del with_["github"]["key_input"]
    assert Trigger().effect_of(with_) == "at_most_once"
    made, _ = context(with_, key=KEY)
    assert Trigger().run(made).succeeded
    there.tells_run = False
    with pytest.raises(Failed, match="did not say which run"):
        Trigger().run(made)


def test_github_says_too_much_with_403(one):
    there = one("github")
    spent = Told(403, {"message": "rate limit"}, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "0"})
    there.trouble.append(lambda asked: spent if asked.method == "GET" else None)
    assert run(there)[0].succeeded


def test_a_gitlab_that_takes_no_variables_gets_the_key_as_an_input(one):
    there = one("gitlab")
    there.takes_variables = False
    assert "Insufficient permissions" in reason(there)
    assert run(there, variables={}, key_input="key")[0].succeeded
    assert run(there, variables={}, key_input="key")[0].succeeded
    assert len(there.jobs) == 1


def test_jenkins_without_crumbs_works_too(one):
    there = one("jenkins")
    there.has_crumbs = False
    assert run(there)[0].succeeded


def test_jenkins_forgets_its_queue_and_the_build_is_found_by_its_key(one):
    there = one("jenkins")
    there.forgets_queue = True
    assert run(there)[0].succeeded


def test_a_build_that_is_cancelled_in_the_queue_is_cancelled(one):
    there = one("jenkins")
    there.script = ["queue", "gone"]
    assert run(there)[0].outputs["state"] == "cancelled"


def test_awx_that_would_drop_the_variables_is_not_asked_to_start(one):
    there = one("awx")
    there.asks_variables = False
    assert "does not ask for variables at launch" in reason(there)
    there.asks_variables = True
    assert "does not ask for a limit" in reason(there, limit="web")
    assert there.jobs == []


def test_a_paused_dag_is_not_started(one):
    there = one("airflow")
    there.paused = True
    assert "is paused" in reason(there)
    assert there.jobs == []


# --- what may be given ------------------------------------------------------------------------------------------


def given(name, **changed):
    made = ALL[name]()
    made.url = "https://there.example"
    return made.with_(**changed)


@pytest.mark.parametrize("name", ALL)
def test_what_fits_is_accepted(name):
    assert registry.validate("trigger", given(name)) == []
    assert Trigger().effect_of(given(name)) in {"idempotent", "reconcilable"}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    "url",
    [
        "file:///etc",
        "https://user@x/",
        "https://x/?a",
        "https://x/../y",
        "https://x/\n",
        "https://x/a b",
        "x",
        "-x",
    ],
)
def test_x02_x09_an_address_is_a_plain_one(name, url):
    assert registry.validate("trigger", given(name, url=url))


NAMES = {"github": "workflow", "gitlab": "ref", "jenkins": "job", "airflow": "dag", "argo": "template"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "typed",
    [
        "",
        "-x",
        "../x",
        "a/../../b",
        "a b",
        "a\n",
        "a\r\nb",
        "\u202ea",
        "a?b",
        "a#b",
        "a\0",
        "{{7*7}}",
        "$(id)",
        "..",
        "a" * 300,
    ],
)
def test_x02_x04_a_name_is_a_plain_one_or_one_part_of_a_path(one, name, typed):
    """What the schema lets through must not leave its place in the path."""
    if registry.validate("trigger", given(name, **{NAMES[name]: typed})):
        return
    there = one(name)
    reason(there, **{NAMES[name]: typed})
    for asked in there.server.asked:
        assert asked.path.startswith(
            (
                "/repos/bank/app/actions/",
                there.__dict__.get("root", "/api"),
                "/queue",
                "/job/",
                "/crumb",
                "/auth",
            )
        )
        assert "/../" not in asked.path


@pytest.mark.parametrize(
    "with_",
    [{}, {"github": {}}, {**given("github"), **given("gitlab")}, {"travis": {}},
     given("github", token="ghp_0123456789"),
     given("github", repository="bank"), given("github", repository="bank/app/x"), given("github", inputs={"a b": "x"}),
     given("github", inputs={"a": {"b": 1}}), given("airflow", token="TOKEN"), given("awx", job_template="9"),
     given("awx", limit="-i /etc/passwd"), given("argo", kind="Pod"), given("argo", namespace="Jobs"),
     given("jenkins", user="a:b"), given("gitlab", project="/etc"), given("gitlab", follow=True)],
)  # fmt: skip
def test_x02_x03_what_does_not_fit_is_refused_in_words(with_):
    assert registry.validate("trigger", with_)


def test_x16_no_pattern_is_slow_whatever_is_typed():
    registry.validate("trigger", given("github"))
    begun = time.process_time()
    for text in (
        "a" * 1_000_000,
        "a/" * 500_000,
        "https://" + "a." * 400_000,
        "https://x" + "/a" * 500_000 + "\n",
    ):
        for name, place in NAMES.items():
            registry.validate("trigger", given(name, url=text, **{place: text}))
    assert time.process_time() - begun < 4


def test_x09_a_link_in_an_answer_is_shown_if_plain_and_never_asked(one):
    there = one("gitlab")
    with far(lambda _: Told()) as other:
        for link in (f"{other.url}/x", "javascript:alert(1)", "http://x/\x1b[2J", None, ["a"]):
            there.pipeline = lambda job, status, link=link: {
                "id": job["id"],
                "status": status,
                "web_url": link,
                "name": "",
            }
            done, _ = run(there, key=str(link))
            assert done.outputs["link"] in {f"{other.url}/x", f"pipeline {done.outputs['id']} of bank/app"}
        assert other.asked == []
