"""The demo bank at work: what examples/demo/play.yaml tells is asked, decided, run and reviewed, once.

Through the product's own writers and at the times at which it happens; each decision says that its session is the
demo's. It must never know another way to anything than people have.
"""

import hashlib
import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import yaml
from django.conf import settings
from django.db import transaction

from accounts.acting import Acting
from accounts.models import User
from approvals import freezes
from approvals.clock import database_time
from approvals.plans import Known, Plan, once
from audit.controls.catalogue import control
from audit.ledger.record import record, record_refusal
from audit.models import Entry
from audit.refusals import Refusal
from audit.reports import comments, tested
from orchestration import asking, changes, evidence, reviewing
from orchestration.definitions.digest import Emergency
from orchestration.demo import EXAMPLES, SEEDER
from orchestration.models import Change, Environment, Service

BEGAN, ENDED, SUBJECT = "demo.play_began", "demo.play_ended", "demo"
LONGEST = timedelta(minutes=10)  # what began earlier and never ended was killed
PATIENCE_SECONDS, PAUSE_SECONDS = 60, 0.2  # for a change to come to where a scene wants it
KEPT = "https://evidence.harbourline.example"  # where the bank keeps its evidence, in this play
ASKED = ("workflow", "service", "environment", "reason")

log = logging.getLogger("countersign.demo")
Told = dict[str, Any]


class Stuck(Exception):
    """What a scene waits for did not happen."""


def read() -> Told:
    """What is played."""
    told: Told = yaml.safe_load((EXAMPLES / "demo" / "play.yaml").read_text())
    return told


def play() -> bool:
    """Everything, one scene after the other; False where it was played before, if only in part."""
    told = read()
    with transaction.atomic():
        if _newest(BEGAN) is not None:
            return False
        record("demo.play_began", of=None, subject=SUBJECT, actor=SEEDER, scenes=len(told["scenes"]))
    _tried(_freeze, told["freeze"])
    played = sum(_tried(_scene, one) for one in told["scenes"])
    with transaction.atomic():
        record("demo.play_ended", of=None, subject=SUBJECT, actor=SEEDER, scenes=played)
    return True


def notices() -> list[dict[str, str]]:
    """The word on every page while it plays."""
    began = _newest(BEGAN) if settings.DEMO else None
    if began is None or _newest(ENDED) or database_time() - began.occurred_at > LONGEST:
        return []
    text = "Its people request, agree, refuse and run for two minutes. All of it is real, and happens now."
    return [{"state": "info", "title": "The demo bank is at work by itself", "text": text}]


def _newest(kind: str) -> Entry | None:
    return Entry.objects.filter(subject=SUBJECT, kind=kind).order_by("-id").first()


def _tried(part: Callable[[Told], None], told: Told) -> bool:
    """One that cannot be played, because somebody changed the bank meanwhile, does not end the play."""
    try:
        part(told)
    except (Refusal, Stuck) as fault:
        log.warning("left out of the play: %s", fault)
        return False
    return True


def _freeze(told: Told) -> None:
    now = database_time()
    where, what = told["environments"], told["services"]
    schedule = once(now, now + timedelta(minutes=told["minutes"]))
    plan = Plan(
        name=told["name"],
        reason=told["reason"],
        schedule=schedule,
        environments=tuple(where),
        services=tuple(what),
    )
    known = Known(_slugs(Environment), _slugs(Service))
    freezes.plan(plan, known=known, by=_as(told["by"]))


def _scene(told: Told) -> None:
    """A request, and whatever becomes of it; or what an auditor does."""
    if "test" in told:
        tested.ask(by=_as(told["test"]["by"]).actor)
        _await(lambda: tested.under_way() is None, "the control tests")
    elif "comment" in told:
        said = told["comment"]
        comments.add(control(said["control"]), said["text"], by=_as(said["by"]).actor)
    else:
        _walk(_requested(told), told)


def _walk(change: Change, told: Told) -> None:
    """From its request to where the scene wants it."""
    for kind, text in told.get("evidence", {}).items():
        digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
        address = f"{KEPT}/{change.key}/{kind}"
        evidence.attach(change, evidence_kind=kind, digest=digest, address=address, by=_as(told["by"]))
    _become(change, Change.State.WAITING)
    if "refused" in told:
        _refused(change, told["refused"])
    for one in told["decisions"]:
        _decide(change, one)
    _become(change, Change.State(told.get("until", Change.State.SUCCEEDED)))
    for one in told.get("reviews", ()):
        reviewing.conclude(change, text=one["text"], by=_as(one["by"]))


def _requested(told: Told) -> Change:
    emergency = Emergency(told["incident"]) if "incident" in told else None
    given = {name: told[name] for name in ASKED}
    asked = asking.ask(**given, inputs=told.get("inputs", {}), emergency=emergency, by=_as(told["by"]))
    return changes.request_change(asked)


def _refused(change: Change, told: Told) -> None:
    """What is not allowed is tried as well, and recorded as a page would record it."""
    by = _as(told["by"])
    try:
        _decide(change, told)
    except Refusal as refusal:
        record_refusal(refusal, attempted="change.decide", subject=change.key, actor=by.actor)


def _decide(change: Change, told: Told) -> None:
    revision = asking.current_revision(Change.objects.get(pk=change.pk))
    stage = revision.chain.stages.get(name=told["stage"])
    changes.decide(
        change, stage=stage.pk, decision=told.get("decision", "approve"), digest=revision.digest,
        chain_digest=revision.chain.digest, comment=told["comment"], condition="", by=_as(told["by"]),
    )  # fmt: skip


def _become(change: Change, state: Change.State) -> None:
    there = Change.objects.filter(pk=change.pk, state=state)
    _await(there.exists, f"{change.key} {state}")


def _await(question: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not question():
        if time.monotonic() > until:
            raise Stuck(f"{what}: not within {PATIENCE_SECONDS} s")
        time.sleep(PAUSE_SECONDS)


def _as(username: str) -> Acting:
    return Acting(User.objects.get(username=username), "session", persona_switched=True)


def _slugs(model: type[Environment] | type[Service]) -> list[str]:
    return list(model._default_manager.values_list("slug", flat=True))
