"""Whether the log is kept elsewhere, and tells of each signature what a signature has to tell: CT-20."""

from audit.controls.catalogue import control
from audit.controls.facts import Facts
from audit.controls.items import Execution, Judgement, Thing
from audit.controls.told import Told, days_after


def log_and_signatures_are_kept(one: Execution | Thing, facts: Facts) -> Judgement:
    """CT-20."""
    return _signatures(one, facts) if isinstance(one, Execution) else _archive(one, facts)


def _signatures(one: Execution, facts: Facts) -> Judgement:
    """Each approval that was counted tells who gave it, when, what it means, and how that was proved."""
    for sign_off in one.counted:
        told, data = sign_off.given, sign_off.given.data
        if told.actor not in facts.directory.people:
            return Judgement(
                "indeterminate", "unknown_account", "The ledger does not know who gave an approval."
            )
        if facts.directory.people[told.actor] != sign_off.person or data.get("persona_switched"):
            return Judgement(
                "fail", "other_name", "An approval bears the name of somebody else than who gave it."
            )
        if not data.get("stage_name") or not told.time.endswith("Z"):
            return Judgement(
                "fail", "no_meaning", "An approval does not tell what it means, or when in UTC it was given."
            )
        if data.get("auth") != "session" and "passkey" not in data:
            return Judgement("fail", "no_factors", "An approval does not tell how whoever gave it was known.")
    return Judgement(
        "pass", "manifest", "Each approval tells who, when, what it means, and how they were known."
    )


def _archive(one: Thing, facts: Facts) -> Judgement:
    """As it was at the end of the period, of the place where most of the log is."""
    written: list[Told] = one.of
    if not written:
        return Judgement("indeterminate", "not_archived", "Nothing of the log was ever archived.")
    limits = control("CT-20").parameters
    begins, last = 0, written[0]
    for told in written:
        if told.data["from"] > begins:
            return Judgement("fail", "archive_hole", f"Entries from {begins} on are not in the archive.")
        begins, last = max(begins, told.data["size"]), told
    if days_after(last.time, limits["days_behind"]) < one.time:
        return Judgement("fail", "archive_behind", "Nothing was archived for too long.")
    if any(told.data["lock"] == "none" for told in written):
        return Judgement(
            "indeterminate", "not_locked", "It lies in a folder; who may delete it there is not known."
        )
    if any(told.data["until"] < days_after(told.time, limits["days_locked"]) for told in written):
        return Judgement("fail", "short_lock", "It can be deleted too early.")
    return _restored(one, written, facts)


def _restored(one: Thing, written: list[Told], facts: Facts) -> Judgement:
    days, place = control("CT-20").parameters["days_restored"], written[0].data["place"]
    checked = [
        told for told in facts.premises.checked if told.data["place"] == place and told.time <= one.time
    ]
    if checked and checked[-1].data["verdict"] != "verified":
        return Judgement("fail", "not_restored", "When it was last restored, it was not as it should be.")
    since = checked[-1].time if checked else written[0].time
    if days_after(since, days) < one.time:
        return Judgement("fail", "restore_overdue", "It was not restored for too long, or never.")
    if not checked:
        return Judgement("na", "restore_open", "It was never restored, and there is still time.")
    return Judgement("pass", "archived", "All of it is archived, locked, and was restored.")
