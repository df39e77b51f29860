"""What policy demands, asked again by the worker itself: it does not believe the database about who must agree.

Before the transaction of a first start the policy is evaluated once more, on the recorded question, which must agree
with the very bytes that will run and with what workers remember. The gate then holds the chain against the answer,
under locks. It must never run inside a transaction, nor repair what does not fit.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from accounts.models import User
from approvals import known
from approvals.closed import GateClosed
from approvals.models import Bundle, Chain, Decision, Stage
from approvals.policy import bundles, decisions
from approvals.policy.contract import lookup
from approvals.policy.engine import PolicyRefused, PolicyUnavailable
from audit.canonical import canonical


class BundleAltered(GateClosed):
    """The policy behind the decision is not the one that was signed, or a newer one is missing."""

    code = "gate_bundle_altered"


class DecisionAltered(GateClosed):
    """What policy was asked or what it answered is not what the database says."""

    code = "gate_decision_altered"


class PolicyTightened(GateClosed):
    """A newer policy demands more than the one that judged this change."""

    code = "gate_policy_tightened"


class ProtectionLost(GateClosed):
    """An environment or a service is less critical than workers remember, and no governed act made it so."""

    code = "gate_protection_lost"


class DemandUnmet(GateClosed):
    """The stages of the chain are not those that policy demands."""

    code = "gate_demand_unmet"


class PlanUnderPasskey(GateClosed):
    """Plan steps run before anybody signs, which does not go together with a passkey that policy demands."""

    code = "gate_plan_under_passkey"


@dataclass(frozen=True)
class Judged:
    """The worker's own answer, for the decision and the bytes that it was found for."""

    decision: UUID
    told: Mapping[str, Any]
    facts: Mapping[str, Any]
    output: Mapping[str, Any]


def judge(
    chain: UUID | None = None, *, told: Mapping[str, Any], requesters: Iterable[str], plan: UUID | None = None
) -> Judged:
    """Ask again what was decided for a chain, or before a plan by the decision that it names. `told` is what the bytes
    that will run say about the question, by path; any difference closes."""
    which = {"chains": chain} if chain else {"pk": plan}
    decision = Decision.objects.select_related("bundle").get(**which)
    newest = _newest(decision.bundle)
    _check_told(decision.input, told)
    _check_people(decision.input, set(requesters))
    _check_remembered(decision.input)
    output = _ask(decision.bundle, decision.input)
    if canonical(output) != canonical(decision.output):
        raise DecisionAltered(
            "The policy does not answer what was recorded, so nothing starts. Request it again."
        )
    if newest.pk != decision.bundle_id:
        _check_not_tightened(output, _ask(newest, decision.input))
    _remember(newest, decision.input)
    return Judged(decision.pk, dict(told), decision.input, output)


def check(judged: Judged | None, chain: Chain, stages: Iterable[Stage], told: Mapping[str, Any]) -> None:
    """In the gate's transaction: nothing was exchanged since, and the chain asks exactly what policy demands."""
    if judged is None or judged.decision != chain.decision_id or judged.told != told:
        raise DecisionAltered(
            "Policy was not asked about exactly this, so nothing starts. It is asked again."
        )
    decision = chain.decision
    if canonical([decision.input, decision.output]) != canonical([judged.facts, judged.output]):
        raise DecisionAltered("The decision was altered while it was looked at, so nothing starts.")
    if sorted(map(_stored, stages)) != sorted(map(_demanded, judged.output["require"])):
        raise DemandUnmet(
            "The approval chain does not ask what policy demands, so nothing starts. Request it again."
        )


def check_plan(judged: Judged | None, told: Mapping[str, Any]) -> None:
    """The same before a plan, for which nobody has signed anything: where a passkey is demanded, nothing starts so."""
    if judged is None or judged.told != told:
        raise DecisionAltered(
            "Policy was not asked about exactly this, so nothing starts. It is asked again."
        )
    if needs_passkey(judged.output):
        raise PlanUnderPasskey(
            "Policy demands a passkey here, and a plan step would start before anybody has signed, so nothing starts."
        )


def needs_passkey(output: Mapping[str, Any]) -> bool:
    """Whether any stage that policy demands is signed by a device."""
    return any(one["signature"] == "passkey" for one in output["require"])


def facts_of(facts: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """How critical policy was told that the places of a change are, by the name under which workers remember it."""
    environment, service = facts["environment"], facts["service"]
    return {
        f"environment:{environment['slug']}": {name: environment[name] for name in ("tier", "protected")},
        f"service:{service['slug']}": {name: service[name] for name in ("tier", "owner")},
    }


def _newest(bundle: Bundle) -> Bundle:
    try:
        bundles.verify(bundle)
        newest = bundles.active()
    except PolicyUnavailable as tampered:
        raise BundleAltered(str(tampered)) from tampered
    if newest.serial < known.policy():
        raise BundleAltered(
            f"Policy {newest.serial} is the newest here, but {known.policy()} has judged already, so nothing starts."
            " Restore it, or activate a newer one at a terminal."
        )
    return newest


def _check_told(facts: Mapping[str, Any], told: Mapping[str, Any]) -> None:
    for path, value in told.items():
        if canonical(lookup(facts, path)) != canonical(value):
            raise DecisionAltered(
                f"Policy was asked about another {path.removeprefix('input.')} than what would run."
            )


def _check_people(facts: Mapping[str, Any], requesters: set[str]) -> None:
    """Whoever asked or wrote is among those who never count."""
    accounts = {facts["requester"]["id"], *facts["authors"]}
    persons = {str(one) for one in User.objects.filter(pk__in=accounts).values_list("person_id", flat=True)}
    if not persons or not persons <= requesters:
        raise DecisionAltered("Policy was told of other requesters than those whom the content names.")


def _check_remembered(facts: Mapping[str, Any]) -> None:
    for name, seen in facts_of(facts).items():
        if lost := known.weaker(name, seen):
            raise ProtectionLost(
                f"{name.replace(':', ' ')} is less protected than workers remember ({', '.join(lost)}), and no governed"
                " act made it so. Request that act, or restore the record."
            )


def _check_not_tightened(output: Mapping[str, Any], newer: Mapping[str, Any]) -> None:
    """A newer policy may ask for more of what has not started, never for less; whoever it asks is asked anew."""
    if newer["deny"]:
        said = f"now forbids it: {newer['deny'][0]['message']}"
        raise PolicyTightened(f"The policy that judges {said} Edit the change to ask again.")
    agreed, missing = list(output["require"]), []
    for one in newer["require"]:
        covering = next((old for old in agreed if _covers(old, one)), None)
        if covering is None:
            missing.append(one["stage"])
        else:
            agreed.remove(covering)  # one stage that was agreed to stands for one that is asked
    if missing:
        said = f"now asks more for {' and '.join(missing)} than was agreed to."
        raise PolicyTightened(f"The policy that judges {said} Edit the change to ask again.")


def _covers(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether who agreed to a stage as it was agreed to no less than it asks now, whatever it is called."""
    same = all(sorted(old.get(name, [])) == sorted(new.get(name, [])) for name in ("teams", "users"))
    signed = new["signature"] == "session" or old["signature"] == "passkey"
    joined = old.get("member_for", 0) >= new.get("member_for", 0)
    sealed = old.get("sealed", False) or not new.get("sealed", False)
    return same and signed and joined and sealed and int(old["quorum"]) >= int(new["quorum"])


def _remember(newest: Bundle, facts: Mapping[str, Any]) -> None:
    known.see_policy(newest.serial)
    for name, seen in facts_of(facts).items():
        known.see(name, seen)


def _ask(bundle: Bundle, facts: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return decisions.again(bundle, facts)
    except (PolicyRefused, PolicyUnavailable) as nothing:
        raise DecisionAltered(f"Policy gives no answer to what it was asked: {nothing}") from nothing


def _demanded(demand: Mapping[str, Any]) -> str:
    """One stage as policy demands it, in the words of `_stored`."""
    return _words(
        demand["stage"], demand["order"], demand["quorum"], demand["teams"], demand.get("users", []),
        demand["signature"], demand.get("distinct", Stage.Distinct.CHAIN), demand.get("member_for", 0),
        demand.get("escalate_to", []), demand.get("sealed", False),
    )  # fmt: skip


def _stored(stage: Stage) -> str:
    """One stage as the chain asks it."""
    return _words(
        stage.name, stage.order, stage.quorum, stage.teams, map(str, stage.user_ids), stage.signature,
        stage.distinct, stage.member_for, stage.escalate_to, stage.sealed,
    )  # fmt: skip


def _words(*parts: Any) -> str:
    plain = [part if isinstance(part, str | int) else sorted(part) for part in parts]
    return canonical([str(part) if isinstance(part, str) else part for part in plain]).decode()
