"""Asks whether an earlier attempt did it, before a reconcilable step runs again, and reads the answer. Pure.

Exit code 0 says that the effect has happened, 1 that it has not. Anything else, a timeout or a signal is no answer:
then a person is asked. It must never take silence for a no.
"""

from dataclasses import replace

from orchestration.engine.attempt import Attempt, Outcome

CHECK = "check"
NOT_YET = 1
DEFAULT_SECONDS = 60.0
_READ = {"succeeded", "failed", "timed_out", "cancelled", "unknown"}


def asking(attempt: Attempt) -> Attempt:
    """The same attempt, as it only looks."""
    given = attempt.check or {}
    return replace(attempt, phase=CHECK, timeout_seconds=given.get("timeout_seconds", DEFAULT_SECONDS))


def read(asked: Outcome) -> Outcome | None:
    """What the answer makes of the step; None when it has not happened, so that it is run."""
    if asked.state not in _READ:  # it lost its lease, for one
        return asked
    if asked.state == "succeeded":
        reason = "Its check says that it has happened already; it was not run again."
        return replace(asked, reason=reason)
    if asked.state == "failed" and asked.exit_code == NOT_YET:
        return None
    if asked.state == "cancelled":
        reason = "It was stopped while its check looked whether an earlier attempt had done it."
        return replace(asked, state="unknown", reason=reason)
    return replace(asked, state="unknown", reason=f"Its check gave no answer: {asked.reason}", asks=True)
