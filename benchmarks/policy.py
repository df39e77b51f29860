"""What a policy decision and the gate cost. Needs a migrated database of its own: it writes people and chains.

The control of the pool is a new process for each decision, which is what isolation costs without one.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import transaction

from accounts import teams
from accounts.acting import Acting
from accounts.models import Team, User
from approvals import chain as chains
from approvals import demand, gate, signoffs
from approvals.management.commands.policy import STARTER
from approvals.models import Chain, Decision
from approvals.periods import Place
from approvals.policy import bundles, decide, pool
from approvals.policy.replay import recorded, replay
from audit.canonical import uuid7
from audit.ledger.entry import system
from benchmarks.row import Row

BENCH = system("system:benchmark")
DIGEST = "sha256:" + "a" * 64
ROUNDS = 500
CHAINS = 30
RECORDED = 10_000


def run() -> list[Row]:
    """Controls included."""
    people = _people()
    bundle = bundles.first_start(STARTER, by=BENCH)
    told = _facts(people["noor"])
    engine = pool.engine()
    return [
        *_evaluations(lambda: engine.evaluate(bundle.digest, bundle.sources, told)),
        Row("decision, a process each (control)", _each(lambda: _fresh(bundle, told), 10), "ms"),
        Row("decision, stored and recorded", _each(lambda: decide(told), 50), "ms"),
        *_gate(people),
        *_replay(told),
    ]


def _evaluations(ask: Callable[[], Any]) -> list[Row]:
    ask()
    one = _each(ask, ROUNDS)
    began = time.perf_counter()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: ask(), range(ROUNDS)))
    rate = ROUNDS / (time.perf_counter() - began)
    return [Row("evaluation in the pool", one, "ms"), Row("evaluations, 4 threads", rate, "per second")]


def _replay(told: dict[str, Any]) -> list[Row]:
    """Recorded decisions, each of its own input, judged again; the control evaluates them one after the other."""
    last = decide(told)
    rows = [
        Decision(
            bundle=last.bundle, input={**told, "change": {**told["change"], "revision": number}}, output=last.output,
            input_digest=DIGEST, output_digest=DIGEST, took_microseconds=1,
        )
        for number in range(1, RECORDED + 1)
    ]  # fmt: skip
    Decision.objects.bulk_create(rows, batch_size=1000)
    candidate = bundles.load(STARTER)
    began = time.perf_counter()
    judged = sum(len(batch) for batch in replay(candidate, recorded(1).iterator(200)))
    took = time.perf_counter() - began
    sample = rows[:ROUNDS]
    one = _each_of(lambda row: pool.engine().evaluate(candidate.digest, candidate.sources, row.input), sample)
    return [
        Row(f"replay of {judged:,} recorded decisions", took, "s"),
        Row(f"the same evaluations alone, in one thread (control, from {ROUNDS})", one * judged, "s"),
    ]


def _each_of(act: Callable[[Any], Any], rows: list[Any]) -> float:
    began = time.perf_counter()
    for row in rows:
        act(row)
    return (time.perf_counter() - began) / len(rows)


def _fresh(bundle: Any, told: dict[str, Any]) -> None:
    engine = pool.Pool(1)
    try:
        engine.evaluate(bundle.digest, bundle.sources, told)
    finally:
        engine.close()


def _gate(people: dict[str, User]) -> list[Row]:
    opened = [_complete(people) for _ in range(CHAINS)]
    permits = []
    began = time.perf_counter()
    for chain in opened:
        judged = demand.judge(chain.pk, told={}, requesters=map(str, chain.conflicted))
        start = _start(chain, permit_id=None, first=True, change_state="approved", judged=judged)
        with transaction.atomic():
            permits.append((start, gate.authorise(start)))
    first = (time.perf_counter() - began) / CHAINS * 1000
    began = time.perf_counter()
    for start, permit in permits:
        again = {**vars(start), "permit_id": permit.pk, "first": False, "change_state": "running"}
        with transaction.atomic():
            gate.authorise(gate.Start(**again))
    later = (time.perf_counter() - began) / CHAINS * 1000
    return [Row("gate, first start with its permit", first, "ms"), Row("gate, later start", later, "ms")]


def _complete(people: dict[str, User]) -> Chain:
    decision = decide(_facts(people["noor"]))
    acting = {name: Acting(user, "session") for name, user in people.items()}
    with transaction.atomic():
        conflicted = {people["noor"].person_id}
        chain = chains.open_chain(
            digest=DIGEST, decision=decision, conflicted=conflicted, by=acting["noor"].actor
        )
    for name, stage in (("ines", "Service owner"), ("sam", "Security")):
        with transaction.atomic():
            signoffs.give(
                chain=chain, stage=chain.stages.get(name=stage).pk, decision="approve", digest=chain.subject,
                chain_digest=chain.digest, comment="", condition="", by=acting[name],
            )  # fmt: skip
    return chain


def _start(chain: Chain, **changed: Any) -> gate.Start:
    known: dict[str, Any] = {
        "run_id": uuid7(), "change_key": "CHG-0", "digest": DIGEST, "document_digest": DIGEST, "chain_id": chain.pk,
        "place": Place("production"), "cancel_requested": False, "not_before": None, "not_after": None, "by": BENCH,
    }  # fmt: skip
    return gate.Start(**{**known, **changed})


def _people() -> dict[str, User]:
    made = {}
    for name, slug in (("noor", "bench-owner"), ("ines", "bench-owner"), ("sam", "security")):
        team = Team.objects.filter(slug=slug).first() or teams.create_team(slug=slug, name=slug, by=BENCH)
        made[name] = teams.create_person(username=f"{name}-{uuid7().hex}", name=name, by=BENCH)
        teams.join(team, made[name], by=BENCH)
    return made


def _facts(requester: User) -> dict[str, Any]:
    return {
        "api": "v1", "phase": "request", "now": "2026-01-05T09:00:00Z",
        "change": {"id": "CHG-0", "revision": 1, "inputs": {}, "reason": "", "emergency": False, "plan": None},
        "workflow": {
            "slug": "deploy-service", "title": "Deploy", "version": 1, "digest": DIGEST, "owner": "bench-owner",
            "effects": [],
        },
        "service": {"slug": "payments", "tier": 1, "owner": "bench-owner"},
        "environment": {"slug": "production", "tier": 1, "protected": True, "frozen_by": []},
        "requester": {"id": str(requester.pk), "teams": ["bench-owner"], "kind": "person"},
        "authors": [], "history": {"last_success": None, "recent_failures": 0, "similar_changes": 0},
        "evidence": {}, "claims": {},
    }  # fmt: skip


def _each(act: Callable[[], Any], rounds: int) -> float:
    """Milliseconds a round."""
    began = time.perf_counter()
    for _ in range(rounds):
        act()
    return (time.perf_counter() - began) / rounds * 1000
