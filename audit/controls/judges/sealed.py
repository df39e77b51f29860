"""The log itself: whether it is whole and as it was signed, and whether work stopped when it fell behind.

CT-12, CT-13, CT-14.
"""

from audit.controls.catalogue import control
from audit.controls.facts import Facts
from audit.controls.items import Execution, Judgement, Thing
from audit.controls.log import Sealed


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
    return Judgement("pass", "as_signed", "The entries up to here are those that were signed.")


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
    return Judgement("pass", "complete", "Each place, and each version of a row, is there once and in order.")


def work_stops_when_the_log_does(one: Execution, facts: Facts) -> Judgement:
    """CT-14."""
    if one.permit is None or one.permit.index > one.index:
        return Judgement("indeterminate", "no_permit", "No permit says which log the gate saw.")
    limits = control("CT-14").parameters
    count, seconds = facts.unsealed[one.permit.data["permit"]]
    if count < 0:
        return Judgement("fail", "log_ahead", "Its permit names a log that was longer than it can have been.")
    if count > limits["entries"] or seconds is None or seconds > limits["seconds"]:
        return Judgement("fail", "log_behind", "The gate let it start although the log had fallen behind.")
    return Judgement("pass", "log_current", "What had happened was sealed when the gate let it start.")
