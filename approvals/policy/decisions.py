"""Ask the active bundle about a change: `decide` stores the answer, `preview` does not.

It must never run inside a transaction, nor fall back to a default chain: no answer means no.
"""

import time
from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from django.db import transaction

from approvals import eligibility, passkeys
from approvals.models import Bundle, Decision
from approvals.policy import bundles, contract, pool
from approvals.policy.engine import PolicyDenied, PolicyRefused
from audit.canonical import digest
from audit.ledger.entry import system
from audit.ledger.record import record

POLICY = system("system:policy")


def decide(facts: Mapping[str, Any]) -> Decision:
    """The stored answer of the active bundle; PolicyDenied (stored too), PolicyRefused or PolicyUnavailable."""
    bundle = _active()
    output, took = _answer(bundle, facts)
    if not output["deny"]:
        _check_demands(output, facts)
    decision = _store(bundle, facts, output, took)
    if output["deny"]:
        raise PolicyDenied(
            f"Policy does not allow this: {output['deny'][0]['message']} (rule {output['deny'][0]['rule']}).",
            errors=[{"pointer": "", "detail": f"{one['rule']}: {one['message']}"} for one in output["deny"]],
        )
    return decision


def preview(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What `decide` would answer now, denials included; stores nothing."""
    output, _ = _answer(_active(), facts)
    if not output["deny"]:
        _check_demands(output, facts)
    return output


def again(bundle: Bundle, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What this bundle answers to a question that was asked before; the caller has verified it. Stores nothing."""
    with transaction.atomic(durable=True):
        pass  # raises RuntimeError inside another transaction, which must not stay open while a policy runs
    return _answer(bundle, facts)[0]


def try_out(candidate: bundles.Candidate, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What a bundle that is not active would answer; stores nothing."""
    contract.check_input(facts)
    answer = pool.trial().evaluate(candidate.digest, candidate.sources, facts)
    places = {one.id: one.place for one in candidate.rules}
    return contract.check_output(answer, facts=facts, places=places)


def _active() -> Bundle:
    """Durable: raises RuntimeError inside another transaction, which must not stay open while a policy runs."""
    with transaction.atomic(durable=True):
        return bundles.active()


def _answer(bundle: Bundle, facts: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    contract.check_input(facts)
    began = time.monotonic_ns()
    answer = pool.engine().evaluate(bundle.digest, bundle.sources, facts)
    took = (time.monotonic_ns() - began) // 1000
    return contract.check_output(answer, facts=facts, places=bundles.places(bundle)), took


def _check_demands(output: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Each stage must be one that people can complete, without the requester and the authors."""
    conflicted = {facts["requester"]["id"], *facts["authors"]}
    for stage in output["require"]:
        rule = stage["why"]["rule"]
        teams, users = eligibility.pin(stage["teams"], stage.get("users", []), rule=rule)
        eligibility.pin(stage.get("escalate_to", []), [], rule=rule)
        places = eligibility.places_of(teams.values(), users, without_accounts=conflicted)
        can = eligibility.votes(places)
        if can < stage["quorum"]:
            raise PolicyRefused(
                f"Rule {rule} asks for {stage['quorum']} of {' and '.join(stage['teams']) or 'the named people'},"
                f" but only {can} may agree. The change cannot proceed."
            )
        _check_passkeys(stage, {one.person for one in places})


def _check_passkeys(stage: Mapping[str, Any], persons: Collection[UUID]) -> None:
    """A stage that demands passkeys must be one that people with passkeys can complete."""
    if stage["signature"] != "passkey":
        return
    able = len(passkeys.holders(persons))
    if able < stage["quorum"]:
        raise PolicyRefused(
            f"Rule {stage['why']['rule']} asks for {stage['quorum']} to sign {stage['stage']} with a passkey, but only"
            f" {able} of the {len(persons)} who may agree have a trusted one. They enrol one in their profile; the"
            " change cannot proceed before."
        )


def _store(bundle: Bundle, facts: Mapping[str, Any], output: dict[str, Any], took: int) -> Decision:
    with transaction.atomic(durable=True):
        decision = Decision.objects.create(
            bundle=bundle,
            input=dict(facts),
            output=output,
            input_digest=digest("countersign/policy-input/v1", facts),
            output_digest=digest("countersign/policy-output/v1", output),
            took_microseconds=took,
        )
        record(
            "policy.decided",
            of=None,
            subject=facts["change"]["id"],
            actor=POLICY,
            decision=str(decision.pk),
            bundle=bundle.digest,
            input_digest=decision.input_digest,
            output_digest=decision.output_digest,
            denied=bool(output["deny"]),
        )
    return decision
