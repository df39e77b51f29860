"""The log itself: whether it is whole and as it was signed, and whether work stopped when it fell behind.

CT-12, CT-13, CT-14.
"""

from audit.controls.catalogue import control
from audit.controls.facts import Facts
from audit.controls.items import Execution, Judgement, Thing
from audit.controls.log import Sealed, seconds
from audit.controls.told import Told, days_after


def log_is_as_signed(one: Thing, facts: Facts) -> Judgement:
    """CT-12."""
    sealed: Sealed = one.of
    if sealed.seal.signed is None:
        return Judgement(
            "indeterminate", "no_key", "The key of the log is not here, so no signature was checked."
        )
    if not sealed.seal.signed:
        return Judgement(
            "fail", "not_signed", "What is stored as its signature is not ours, or is for something else."
        )
    if not sealed.fits:
        return Judgement("fail", "other_root", "The entries up to here are not those that were signed.")
    return _seen_by_others(sealed, facts) or Judgement(
        "pass", "as_signed", "The entries up to here are those that were signed."
    )


def _seen_by_others(sealed: Sealed, facts: Facts) -> Judgement | None:
    """What is wrong with what witnesses and a timestamp authority had to say, where there are any."""
    size, told = sealed.seal.size, facts.premises.stamped
    if size in told and sealed.seal.stamp != told[size].data["digest"]:
        return Judgement("fail", "other_stamp", "Its timestamp is gone, or is not the one that was recorded.")
    if facts.log.witnessed is not None and size > facts.log.witnessed:
        return Judgement(
            "indeterminate",
            "not_witnessed",
            "Not as many witnesses as the policy demands have cosigned it, or a later one.",
        )
    days = control("CT-12").parameters["days_stamped"]
    due = days_after(sealed.time, days) if sealed.time else ""
    since = min(told, default=None)
    if since is None or size < since or due >= facts.until:
        return None
    if not facts.premises.stamped_between(size, due):
        return Judgement(
            "indeterminate", "not_stamped", "The authority that stamps the log was not shown it in time."
        )
    return None


FAULTS = {
    "gap": Judgement("fail", "gap", "An entry is missing."),
    "unreadable": Judgement("fail", "unreadable", "An entry is not in the one form that entries have."),
    "version": Judgement("fail", "version", "A version of a row is missing, or is there twice."),
    "clock": Judgement("fail", "clock", "An entry is much older than one that was placed before it."),
}


def log_is_complete(one: Thing, facts: Facts) -> Judgement:
    """CT-13."""
    sealed: Sealed = one.of
    if sealed.fault:
        found = FAULTS[sealed.fault]
        return Judgement(found.result, found.reason, f"{found.words[:-1]}: index {sealed.at}.")
    limits, at = control("CT-13").parameters, sealed.seal.at
    if at and sealed.newest and seconds(at, sealed.newest) > limits["seconds_ahead"]:
        return Judgement("fail", "clock_ahead", "An entry is of a time that had not come when it was signed.")
    stamp = facts.premises.stamped.get(sealed.seal.size)
    if stamp and sealed.newest and seconds(_by(stamp), sealed.newest) > limits["seconds_ahead"]:
        return Judgement(
            "fail",
            "clock_ahead",
            "An entry is of a time that had not come for the authority that stamped it.",
        )
    if sealed.is_late(limits["seconds_late"]):
        return Judgement(
            "fail",
            "sealed_late",
            f"An entry waited for its signature for more than {limits['seconds_late']} s.",
        )
    return Judgement("pass", "complete", "Each place, and each version of a row, is there once and in order.")


def _by(stamp: Told) -> str:
    """What the authority's own clock showed."""
    return str(stamp.data["at"])


def work_stops_when_the_log_does(one: Execution | Thing, facts: Facts) -> Judgement:
    """CT-14."""
    if isinstance(one, Execution):
        return _log_was_current(one, facts)
    return _was_probed(one, facts) if one.kind == "day" else _was_answered(one.of, facts)


def _was_answered(sealed: Sealed, facts: Facts) -> Judgement:
    """The log stood still: that was told while it did, and it went on in time."""
    limits = control("CT-14").parameters
    told = [one for one in facts.premises.alarms if sealed.begun <= one.time <= sealed.seal.at]
    if not told:
        return Judgement("fail", "no_alarm", "The log stood still, and no alarm was raised.")
    if seconds(sealed.begun, told[0].time) > limits["seconds"] + limits["seconds_to_tell"]:
        return Judgement("fail", "alarm_late", "The log stood still, and the alarm came late.")
    if seconds(sealed.begun, sealed.seal.at) > limits["seconds_to_answer"]:
        return Judgement("fail", "answered_late", "The log stood still for too long after the alarm.")
    return Judgement(
        "pass", "alarm_answered", "The log stood still, an alarm was raised, and it went on in time."
    )


def _was_probed(one: Thing, facts: Facts) -> Judgement:
    """That nothing starts was tried on this day, or in the 24 hours before it."""
    day, probes = one.of, facts.premises.probes
    end, begin = days_after(day, 1), days_after(day, -1)
    mine = [told for told in probes if begin <= told.time < end]
    if mine and not all(told.data["stopped"] for told in mine):
        return Judgement(
            "fail", "probe_failed", "It was tried whether anything starts, and the gate did not stop it."
        )
    if mine:
        return Judgement("pass", "probed", "It was tried, and the gate stopped it.")
    if not probes or probes[0].time >= end:
        return Judgement(
            "indeterminate", "never_probed", "Whether the gate stops had never been tried until then."
        )
    return Judgement(
        "fail", "not_probed", "Whether the gate stops was not tried on this day, nor on the one before."
    )


def _log_was_current(one: Execution, facts: Facts) -> Judgement:
    if one.permit is None or one.permit.index > one.index:
        return Judgement("indeterminate", "no_permit", "No permit says which log the gate saw.")
    limits = control("CT-14").parameters
    count, seconds = facts.unsealed[one.permit.data["permit"]]
    if count < 0:
        return Judgement("fail", "log_ahead", "Its permit names a log that was longer than it can have been.")
    if count > limits["entries"] or seconds is None or seconds > limits["seconds"]:
        return Judgement("fail", "log_behind", "The gate let it start although the log had fallen behind.")
    return Judgement("pass", "log_current", "What had happened was sealed when the gate let it start.")
