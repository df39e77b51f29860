"""Whether the log is kept elsewhere: CT-20."""

from audit.controls.catalogue import control
from audit.controls.facts import Facts
from audit.controls.items import Judgement, Thing
from audit.controls.told import Told, days_after


def log_is_archived(one: Thing, facts: Facts) -> Judgement:
    """CT-20: as it was at the end of the period, of the place where most of the log is."""
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
