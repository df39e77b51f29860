"""Actions that run Python in a supervised process of their own."""

import os

import pytest

from orchestration.actions import registry
from tests.orchestration.probe import Probe
from tests.orchestration.test_supervise import Watched


@pytest.fixture(autouse=True)
def known(monkeypatch):
    monkeypatch.setattr(registry, "known", lambda: {"probe": Probe()})


def probe(**with_):
    return Watched(with_, uses="probe")


def test_it_runs_in_a_process_of_its_own_and_tells_what_it_did():
    step = probe()
    outcome = step.run()
    assert outcome.state == "succeeded"
    assert outcome.outputs["pid"] != os.getpid()
    assert (outcome.outputs["key"], outcome.outputs["fence"]) == ("key", f"{step.attempt.step_id}:1")


def test_it_sees_the_settings_that_it_names_and_nothing_else_of_the_workers(monkeypatch):
    monkeypatch.setenv("COUNTERSIGN_HTTP_ALLOWED_HOSTS", "localhost")
    step = probe()
    step.run()
    names = set(step.text.split())
    assert "COUNTERSIGN_HTTP_ALLOWED_HOSTS" in names
    assert not names & {"COUNTERSIGN_DATABASE_URL", "COUNTERSIGN_SECRET_KEY", "COUNTERSIGN_BROKER_URL"}


def test_why_it_failed_is_its_own_sentence():
    assert probe(fails="The door is shut.").run().reason == "The door is shut."
    assert probe(raises=True).run().reason == "OSError: no such place"


def test_it_is_told_to_stop_and_leaves_nothing():
    step = probe(seconds=60)
    step.take = lambda _: step.control.cancel("enough")
    assert step.run().state == "cancelled"
    assert step.left() == []
