"""The web process dies in the middle of requests, and clients send theirs again: one answer, one change, one vote."""

import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from uuid import uuid4

import pytest

from tests.faults.many import Visitor, approve_all, asked, said
from tests.faults.product import arm, lines
from tests.stack import wait_for

pytestmark = pytest.mark.faults


def changes(stack, number):
    title = f"Deploy web-bank {number} to production"
    return stack.query("SELECT count(*) FROM orchestration_change WHERE title = %s", title)[0][0]


def test_f18_a_web_process_killed_before_its_commit_has_answered_nobody_and_the_repeat_makes_one_change(
    stack, visit
):
    mara, key = visit("mara"), str(uuid4())
    once = arm(stack, "request.before_commit")
    with pytest.raises((OSError, HTTPException)):
        mara.send("POST", "changes/", asked(3000), key=key)
    assert not once.exists()
    mara.connection.close()
    first = mara.ask("POST", "changes/", asked(3000), key=key)
    assert mara.ask("POST", "changes/", asked(3000), key=key)["key"] == first["key"]
    assert changes(stack, 3000) == 1


def test_f18_a_web_process_that_dies_between_the_commit_and_the_wake_up_costs_a_poll(stack, sessions):
    """The last approval is sent over HTTP; the process that stored it tells no worker, ever."""
    cookies, witness = sessions
    web = stack.pids()["web"]
    once = arm(stack, "dispatch.before_wake", web)
    told = approve_all(stack.port, cookies, [3100], clients=1)
    assert told.answers[0]["version"] == 3100
    wait_for(lambda: "3100" in lines(witness), what=f"the step\n{stack.logs()}")
    assert not once.exists()
    assert lines(witness).count("3100") == 1
    wait_for(lambda: stack.pids()["web"] != web and stack.answers(), what="another web process")


def impatient(port, cookie, path, body, key):
    """Sends a request and hangs up before the answer."""
    visitor = Visitor(port, cookie)
    visitor.connection = HTTPConnection("localhost", port, timeout=0.005)
    with suppress(TimeoutError, HTTPException):
        visitor.send("POST", path, body, key=key)
    visitor.connection.close()


def test_f19_an_approval_that_is_sent_again_and_again_is_one_sign_off(stack, sessions, visit):
    """Five times under the same key and five times under new ones, by clients that do not wait for the answer."""
    cookies, _ = sessions
    mara, jonas = visit("mara"), visit("jonas")
    change = mara.ask("POST", "changes/", asked(3200))
    path, body, key = f"changes/{change['key']}/sign-offs/", said(change, "Service owner"), str(uuid4())
    keys = [key] * 5 + [str(uuid4()) for _ in range(5)]
    with ThreadPoolExecutor(10) as many:
        list(many.map(lambda one: impatient(stack.port, cookies["jonas"], path, body, one), keys))
    count = (
        "SELECT count(*) FROM approvals_signoff o JOIN orchestration_revision v ON v.chain_id = o.chain_id"
    )
    count += " JOIN orchestration_change c ON c.id = v.change_id WHERE 'CHG-' || c.number = %s"
    wait_for(lambda: stack.query(count, change["key"]) != [(0,)], what="the sign-off")
    answers = [jonas.send("POST", path, body, key=one)[0] for one in keys]
    assert {answers[0], *answers[:5]} in ({201}, {409})  # whichever of the ten came first was stored
    assert set(answers[5:]) <= {201, 409}
    assert stack.query(count, change["key"]) == [(1,)]
    told = "SELECT count(*) FROM audit_entry WHERE kind LIKE 'sign_off.%%' AND subject = %s"
    assert stack.query(told, change["key"])[0][0] <= 1


def test_a_web_process_that_is_killed_answers_again(stack):
    stack.kill("web")
    wait_for(stack.answers)


def test_what_is_not_answered_is_still_at_the_door(stack):
    """Whoever calls while it restarts waits for it instead of being refused."""
    stack.kill("web")
    with socket.create_connection(("localhost", stack.port), timeout=30) as caller:
        caller.sendall(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
        assert b"200" in caller.recv(64)
