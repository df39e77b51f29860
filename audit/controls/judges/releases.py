"""What was attached, what runs, and whether it was tried before: CT-10, CT-11, CT-18."""

from audit.controls.catalogue import control
from audit.controls.facts import Facts
from audit.controls.items import Execution, Judgement, Thing
from audit.controls.premises import CONTROL_ROOM
from audit.controls.releases import Place
from audit.controls.told import Told

OWN = Judgement("na", "control_room", "It altered the product itself, and put nothing anywhere.")
URGENT = Judgement("na", "emergency", "It was an emergency, which is reviewed afterwards.")


def evidence_was_there(one: Execution, facts: Facts) -> Judgement:
    """CT-10."""
    if one.environment == CONTROL_ROOM:
        return OWN
    if one.revision is None:
        return Judgement("indeterminate", "not_requested", "The ledger has no request for it.")
    required = set(control("CT-10").evidence.get(one.request["environment_tier"], ()))
    if not required:
        return Judgement("na", "not_critical", "Its environment is of a tier that needs no evidence.")
    if one.request.get("incident") is not None:
        return URGENT
    first = min((sign_off.given.index for sign_off in one.counted), default=one.index)
    mine = [told for told in facts.releases.evidence.get(one.change, ()) if told.data["digest"] == one.digest]
    if missing := required - {told.data["evidence_kind"] for told in mine if told.index < one.index}:
        words = ", ".join(sorted(missing)).replace("_", " ")
        return Judgement("fail", "evidence_missing", f"It had no evidence of this kind: {words}.")
    in_time = [told for told in mine if told.index < first]
    if required - {told.data["evidence_kind"] for told in in_time}:
        return Judgement("fail", "evidence_late", "Some of its evidence came after the first approval.")
    kept = {told.data["evidence_kind"] for told in in_time if not facts.releases.is_gone(told)}
    if gone := required - kept:
        words = ", ".join(sorted(gone)).replace("_", " ")
        return Judgement("indeterminate", "evidence_gone", f"Evidence was removed again: {words}.")
    return Judgement("pass", "evidenced", "Everything that was needed was there before the first approval.")


def what_runs_was_approved(one: Thing, facts: Facts) -> Judgement:
    """CT-11."""
    if isinstance(one.of, Told):
        return _seen(one.of, facts)
    return _covered(one.of, facts)


def _seen(told: Told, facts: Facts) -> Judgement:
    """What an observer saw: each artifact was put there by a change."""
    place = (told.data["service"], told.data["environment"])
    unknown = [one for one in told.data["artifacts"] if not facts.releases.put_before(one, place, told.index)]
    if unknown:
        return Judgement("fail", "out_of_band", f"No change had put {unknown[0][:80]} there.")
    return Judgement("pass", "put_by_change", "A change had put there everything that was seen.")


def _covered(place: Place, facts: Facts) -> Judgement:
    """What was put there last: an observer saw it afterwards."""
    seen = facts.releases.observed.get(place, ())
    if not seen:
        return Judgement("indeterminate", "no_observer", "Nobody tells what runs there.")
    named = [(told, some) for told, some in facts.releases.ended.get(place, ()) if some]
    if not named:
        return Judgement("indeterminate", "no_artifact", "No change names what it puts there.")
    told, artifacts = named[-1]
    after = [one for one in seen if one.index > told.index]
    if not after:
        return Judgement("na", "not_seen_yet", "Nobody has looked since the newest change ended.")
    if not any(artifacts & set(one.data["artifacts"]) for one in after):
        return Judgement("fail", "not_found", "What the newest change put there was not seen there.")
    return Judgement("pass", "observed", "What the newest change put there was seen there.")


def promoted_in_order(one: Execution, facts: Facts) -> Judgement:
    """CT-18."""
    if one.environment == CONTROL_ROOM:
        return OWN
    if one.request.get("incident") is not None:
        return URGENT
    if not one.request.get("artifacts"):
        return Judgement("na", "no_artifact", "It names no artifact.")
    stage = facts.premises.stage_before(one.environment, one.index)
    if stage is None:
        return Judgement("indeterminate", "unknown_environment", "The ledger does not know its environment.")
    if stage == "":
        return Judgement("na", "first_stage", "Its environment is the first.")
    service, put = one.request.get("service"), facts.releases.put_before
    for artifact in one.request["artifacts"]:
        here, before = (service, one.environment), (service, stage)
        if not put(artifact, before, one.index) and not put(artifact, here, one.index):
            return Judgement("fail", "stage_skipped", f"It had not been in {stage} before: {artifact[:80]}.")
    return Judgement("pass", "promoted", "Everything it names had been in the environment before, or here.")
