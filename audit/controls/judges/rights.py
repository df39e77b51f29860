"""Whoever left, and whoever alters what others may do: CT-16, CT-17."""

from audit.controls.administration import Deed
from audit.controls.catalogue import control
from audit.controls.facts import Facts
from audit.controls.items import Execution, Judgement, Thing, execution
from audit.controls.judges.authorised import has_approved_change
from audit.controls.told import Told, days_after


def leavers_lose_their_rights(one: Thing, facts: Facts) -> Judgement:
    """CT-16."""
    off: Told = one.of
    index, time = facts.directory.last.get(off.stream.encode(), (-1, b""))
    if index > off.index and time > off.time.encode():
        return Judgement("fail", "acted_after", "It acted after it had been switched off.")
    due = days_after(off.time, control("CT-16").parameters["days"])
    left = [told for _, told in facts.directory.memberships(off.stream)]
    late = [told for told in left if told.kind != "membership.ended" or told.time > due]
    if late and facts.until > due:
        return Judgement("fail", "rights_left", "It was in a team for longer after it had been switched off.")
    opens = facts.keys.open_after(off.stream, due)
    if opens and facts.until > due:
        return Judgement("fail", "keys_left", "A session or a token of it opened something for longer.")
    if late or opens:
        return Judgement(
            "na", "rights_open", "It still has a right, a session or a token, and is still in time."
        )
    return Judgement("pass", "rights_ended", "It did nothing more, and all that it had ended in time.")


def administration_takes_two(one: Thing, facts: Facts) -> Judgement:
    """CT-17."""
    deed: Deed = one.of
    told = deed.told
    if told.kind == "persona.switched":
        return Judgement(
            "fail", "bypass", "Somebody acted as somebody else from here on, as only a demo lets them."
        )
    if told.actor.startswith("system:") and told.index < facts.first_request:
        return Judgement(
            "na", "founding", "Nothing had been asked for yet: the installation was being set up."
        )
    if told.actor.startswith("change:"):
        return _by_change(told, facts)
    if deed.weakens is False:
        return Judgement("na", "no_wider", "It gave nobody more, and took no protection away.")
    if told.kind == "workflow_version.active" and told.actor in facts.directory.people:
        return _by_reviewer(told, facts)
    if told.kind == "membership.started" and told.subject in facts.directory.synced:
        return Judgement("na", "directory", "The directory of the organisation decides who is in this team.")
    if told.actor == "system:upgrade":
        return Judgement("na", "upgrade", "An upgrade wrote down what held before it.")
    if deed.weakens is None:
        return Judgement(
            "indeterminate", "effect_untold", "Whether it protects less than before cannot be told."
        )
    return Judgement("fail", "one_person", "Nobody but whoever did it had to want it.")


def _by_change(told: Told, facts: Facts) -> Judgement:
    """A governed act: the change whose step it was had been asked for by one, and agreed to by another."""
    key = told.actor.removeprefix("change:")
    ran = [start for start in facts.started.get(key, ()) if start.index < told.index]
    one = execution(ran[-1], facts) if ran else None
    if one is None or has_approved_change(one, facts).result != "pass" or len(_wanted(one)) < 2:
        return Judgement(
            "fail", "not_governed", "The change that did it had not been approved by somebody else."
        )
    return Judgement("pass", "two_people", "One person asked for it, and somebody else agreed.")


def _wanted(one: Execution) -> set[str | None]:
    return {one.request.get("requester_person"), *(sign_off.person for sign_off in one.counted)}


def _by_reviewer(told: Told, facts: Facts) -> Judgement:
    """A version of a workflow: whoever wrote it is not the one who let it be requested."""
    people = facts.directory.people
    wrote = {told.data["author"], *told.data["co_authors"]} - {None}
    if not wrote or people[told.actor] in {people.get(account) for account in wrote}:
        return Judgement("fail", "one_person", "Nobody but whoever did it had to want it.")
    return Judgement("pass", "two_people", "One person asked for it, and somebody else agreed.")
