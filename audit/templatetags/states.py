"""How each state looks: its family of colour, its own shape and its word.

Must never know what a state means for a change or a run; it only knows how to show it. A word that is not
listed is shown as idle and readable, so a new state is dull on the page but never wrong.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    family: str  # wait, ok, bad, run, idle, ice, exc: the class s-<family>
    icon: str  # a symbol of components/sprite.html
    words: str


LOOKS: dict[str, Look] = {
    # a change
    "draft": Look("idle", "idle", "Draft"),
    "waiting": Look("wait", "wait", "Waiting for approval"),
    "sent_back": Look("wait", "back", "Sent back"),
    "approved": Look("ok", "ok", "Approved"),
    "scheduled": Look("idle", "idle", "Scheduled"),
    "running": Look("run", "run", "Running"),
    "succeeded": Look("ok", "ok", "Succeeded"),
    "failed": Look("bad", "bad", "Failed"),
    "cancelled": Look("idle", "cancelled", "Cancelled"),
    "unknown": Look("wait", "unknown", "Outcome unknown"),
    "rejected": Look("bad", "bad", "Rejected"),
    "withdrawn": Look("idle", "cancelled", "Withdrawn"),
    "expired": Look("idle", "expired", "Expired"),
    "superseded": Look("idle", "skip", "Superseded"),
    # a run and its steps
    "pending": Look("idle", "idle", "Not started"),
    "paused": Look("wait", "unknown", "Needs a person"),
    "blocked": Look("idle", "idle", "After earlier steps"),
    "asking": Look("wait", "wait", "Waits for a person"),
    "ready": Look("idle", "wait", "Queued"),
    "queued": Look("idle", "wait", "Queued"),
    "timed_out": Look("bad", "expired", "Timed out"),
    "skipped": Look("idle", "cancelled", "Skipped"),
    "omitted": Look("idle", "skip", "Passed over"),
    # a workflow version, a policy bundle, a chain
    "active": Look("ok", "ok", "Active"),
    "retired": Look("idle", "skip", "Retired"),
    "checked": Look("ok", "ok", "Checked"),
    "broken": Look("bad", "bad", "Broken"),
    "refused": Look("bad", "bad", "Refused"),
    "open": Look("wait", "wait", "Open"),
    "complete": Look("ok", "ok", "Complete"),
    # a decision on a stage
    "approve": Look("ok", "ok", "Approved"),
    "approve_with_condition": Look("ok", "ok", "Approved with a condition"),
    "send_back": Look("wait", "back", "Sent back"),
    "reject": Look("bad", "bad", "Rejected"),
    "done": Look("ok", "ok", "Done"),
    "yours": Look("wait", "wait", "Yours to decide"),
    "later": Look("idle", "idle", "Later"),
    "void": Look("idle", "cancelled", "Void"),
    # policy, control tests, the ledger
    "allowed": Look("ok", "ok", "Allowed"),
    "denied": Look("bad", "bad", "Denied by policy"),
    "matched": Look("wait", "wait", "Applies"),
    "not_matched": Look("idle", "ok", "Does not apply"),
    "out_of_scope": Look("idle", "skip", "Out of scope"),
    "error": Look("bad", "warn", "Could not be evaluated"),
    "passed": Look("ok", "ok", "Passed"),
    "exception": Look("exc", "exception", "Exception"),
    "not_tested": Look("idle", "idle", "Not tested"),
    "empty": Look("idle", "idle", "Nothing was tested"),
    "verified": Look("ok", "lock", "Verified"),
    "not_verified": Look("bad", "warn", "Not verified"),
    # what stands beside a state
    "freeze": Look("ice", "freeze", "Freeze"),
    "kill_switch": Look("bad", "cancelled", "Kill switch"),
    "frozen": Look("ice", "freeze", "Frozen"),
    "window": Look("run", "calendar", "Window"),
    "lifted": Look("idle", "cancelled", "Lifted"),
    "over": Look("idle", "skip", "Over"),
    "planned": Look("idle", "calendar", "Planned"),
    "break_glass": Look("exc", "exception", "Break-glass"),
    "review": Look("exc", "exception", "To be reviewed"),
    "overdue_review": Look("bad", "warn", "Review overdue"),
    "drift": Look("bad", "warn", "Drift"),
    "flagged": Look("bad", "warn", "Look at this"),
    "warning": Look("wait", "warn", "Warning"),
    "info": Look("run", "info", "Note"),
    "success": Look("ok", "ok", "Done"),
    "online": Look("ok", "ok", "Online"),
    "draining": Look("wait", "wait", "Draining"),
    "failing": Look("wait", "warn", "Failing"),
    "given_up": Look("bad", "warn", "Given up"),
    "erased": Look("idle", "cancelled", "Erased"),
    "ended": Look("idle", "cancelled", "Ended"),
    "offline": Look("idle", "cancelled", "Offline"),
    "comment": Look("idle", "comment", "Comment"),
    "obligation": Look("wait", "warn", "Obligation"),
    "closed": Look("ok", "ok", "Closed"),
    "question": Look("wait", "comment", "Question"),
    "answer": Look("idle", "comment", "Answered"),
    "hand_over": Look("idle", "person", "Handed over"),
    "overdue": Look("wait", "expired", "Past due"),
    "person": Look("idle", "person", "Person"),
}


def look(state: object) -> Look:
    """The look of a state; a state this list does not know becomes a readable, idle word."""
    name = str(state)
    return LOOKS.get(name) or Look("idle", "idle", name.replace("_", " ").replace("-", " ").capitalize())
