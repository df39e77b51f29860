"""Periodic reviews of who is in a team: CT-15."""

from audit.controls.catalogue import control
from audit.controls.facts import Facts
from audit.controls.items import Judgement, Thing
from audit.controls.told import Told, days_after


def access_is_reviewed(one: Thing, facts: Facts) -> Judgement:
    """CT-15: as it was at the end of the period."""
    days, since = control("CT-15").parameters["days"], facts.directory.joined(one.name)
    if since is None:
        return Judgement("na", "empty_team", "Nobody was in it.")
    done = [told for told in facts.directory.reviewed[one.name] if told.time <= one.time]
    if not done:
        if days_after(since, days) >= one.time:
            return Judgement("na", "review_not_due", "Its first review was not due yet.")
        return Judgement("fail", "never_reviewed", "Nobody ever reviewed who is in it.")
    if days_after(done[-1].time, days) < one.time:
        return Judgement("fail", "access_overdue", "Its last review was too long ago.")
    return _review(done[-1], one, facts)


def _review(done: Told, one: Thing, facts: Facts) -> Judgement:
    """The last review: by others, about everybody, and applied."""
    people = facts.directory.people
    decided = {told.data["account"]: told for told in facts.directory.decided[done.data["review"]]}
    named = {*done.data["kept"], *done.data["removed"]}
    if any(people.get(account) == told.data["person"] for account, told in decided.items()):
        return Judgement("fail", "own_access", "Somebody decided about themselves.")
    said = {account: told.data["decision"] == "remove" for account, told in decided.items()}
    if any(said.get(account) is not (account in done.data["removed"]) for account in named):
        return Judgement("fail", "access_undecided", "It names somebody of whom that had not been decided.")
    if facts.directory.members_at(one.name, done.index) - named:
        return Judgement("fail", "access_left_out", "Somebody in the team was left out of it.")
    due = days_after(done.time, control("CT-15").parameters["days_to_apply"])
    for account in done.data["removed"]:
        if not facts.directory.left(one.name, account, due):
            if due >= one.time:
                return Judgement("na", "removal_open", "Somebody is still to leave, and still in time.")
            return Judgement("fail", "not_applied", "Somebody was to leave, and did not in time.")
    return Judgement("pass", "access_reviewed", "Others decided about everybody in it, and it was applied.")
