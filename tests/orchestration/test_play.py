"""The demo bank at work: everything through the product's writers, once, and true in the log."""

import os
from typing import Any

import pytest
import yaml

from audit.ledger import openings
from audit.models import Entry
from audit.reports import comments
from orchestration import demo, play
from orchestration.models import Change
from tests.orchestration.bank import Bank
from tests.stack import running, wait_for

ASKED: dict[str, Any] = {"by": "mara", "workflow": "deploy", "service": "payments-api", "environment": "production",
         "inputs": {"version": "7"}, "reason": "Because."}  # fmt: skip
OWNER = {"by": "jonas", "stage": "Service owner", "comment": "Read."}
SECURITY = {"by": "noor", "stage": "Security", "comment": "Read."}
PLAY: dict[str, Any] = {
    "freeze": {"by": "noor", "name": "Still", "environments": ["production"], "services": ["web"],
               "minutes": 2, "reason": "So."},
    "scenes": [
        {**ASKED, "refused": {**OWNER, "by": "mara"}, "evidence": {"impact": "None."},
         "decisions": [OWNER, SECURITY], "until": "approved"},
        {**ASKED, "service": "nothing"},
        {**ASKED, "inputs": {"version": "8"}, "decisions": [{**OWNER, "decision": "reject"}], "until": "rejected"},
        {"comment": {"by": "noor", "control": "CT-01", "text": "Why?"}},
    ],
}  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_scenes_are_played_once_and_what_cannot_be_played_is_left_out(settings, monkeypatch):
    Bank()
    settings.DEMO = True
    during = []
    monkeypatch.setattr(play, "read", lambda: PLAY)
    monkeypatch.setattr(comments, "add", lambda *_, **__: during.append(play.notices()))
    assert play.notices() == []
    assert play.play()
    assert not play.play(), "at the next start"
    assert [one["title"] for one in during[0]] == ["The demo bank is at work by itself"]
    assert play.notices() == []
    assert list(Change.objects.order_by("number").values_list("state", flat=True)) == ["approved", "rejected"]
    given = [openings.data(one) for one in Entry.objects.filter(kind="sign_off.given")]
    assert [one["persona_switched"] for one in given] == [True] * 3, (
        "each says that its session is the demo's"
    )
    refused = Entry.objects.get(kind="attempt.refused")
    assert openings.data(refused)["code"] == "own_change"
    assert Entry.objects.filter(kind="evidence.attached").count() == 1
    told = {one.kind: openings.data(one) for one in Entry.objects.filter(subject=play.SUBJECT)}
    assert told == {"demo.play_began": {"scenes": 4}, "demo.play_ended": {"scenes": 3}}


@pytest.mark.django_db(transaction=True)
def test_what_never_happens_is_given_up(monkeypatch):
    Bank()
    monkeypatch.setattr(play, "PATIENCE_SECONDS", 0)
    scene = {**ASKED, "decisions": [OWNER], "until": "succeeded"}
    with pytest.raises(play.Stuck, match=r"CHG-\d+ succeeded"):
        play._scene(scene)


def test_the_play_names_who_and_what_the_bank_has():
    told, bank = play.read(), demo.read()
    deeds = [one for scene in told["scenes"] for one in (scene.get("test"), scene.get("comment")) if one]
    scenes = [scene for scene in told["scenes"] if "workflow" in scene]
    said = [one for scene in scenes for one in (*scene["decisions"], *scene.get("reviews", ()))]
    assert {one["by"] for one in (*scenes, *deeds, *said)} <= set(bank["people"])
    assert {one["service"] for one in scenes} | set(told["freeze"]["services"]) <= set(bank["services"])
    assert {one["environment"] for one in scenes} <= set(bank["environments"])
    assert {one["workflow"] for one in scenes} <= {
        one.name for one in (demo.EXAMPLES / "workflows").iterdir()
    }
    assert {scene.get("until", "succeeded") for scene in scenes} == {
        "succeeded", "failed", "rejected", "sent_back", "approved",
    }  # fmt: skip


@pytest.mark.faults
@pytest.mark.skipif(not os.environ.get("PLAY"), reason="half a minute with real workers: make play")
def test_every_scene_of_the_demo_can_be_played():
    with running(play=True) as stack:
        ended = "SELECT convert_from(body, 'utf8') FROM audit_entry WHERE kind = 'demo.play_ended'"
        [(body,)] = wait_for(lambda: stack.query(ended), seconds=240, what="the end of the play")
        assert yaml.safe_load(body)["data"]["scenes"] == len(play.read()["scenes"])
