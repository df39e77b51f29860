"""What the gate says when it stays shut. Each reason is a class of its own: the gate's own stand here, those of
what it asks beside the code that finds them.
"""

from typing import ClassVar

from audit.refusals import Refusal


class GateClosed(Refusal):
    """This step may not start now; each reason has its class, and `waits` says whether time alone may open the gate."""

    code: ClassVar[str] = "gate_closed"
    waits: ClassVar[bool] = False


class Frozen(GateClosed):
    """A freeze holds in this environment; the step is asked about again when it may be over."""

    code, waits = "gate_frozen", True


class OutsideWindow(GateClosed):
    """The calendar has windows for such changes, and none of them is open."""

    code, waits = "gate_outside_window", True


class TooEarly(GateClosed):
    """The window of the change, or the one that policy names, has not begun."""

    code, waits = "gate_too_early", True


class LedgerForked(GateClosed):
    """The log is not the one that this worker saw before: shorter, rewritten, or under a key that nobody knows."""

    code = "gate_ledger_forked"


class LedgerBehind(GateClosed):
    """Too much is recorded but not sealed; nothing starts until the log has caught up."""

    code, waits = "gate_ledger_behind", True


class TooLate(GateClosed):
    """The window of the change, or the last that policy names, is over."""

    code = "gate_too_late"


class NotRunnable(GateClosed):
    """The change is in a state from which nothing starts."""

    code = "gate_state"


class StopAsked(GateClosed):
    """Somebody asked to stop the run."""

    code = "gate_stop_asked"


class ChainNotComplete(GateClosed):
    """The approval chain is not complete."""

    code = "gate_chain_not_complete"


class ChainAltered(GateClosed):
    """A stage, the expiry or the people in conflict are not those that were signed when the chain was opened."""

    code = "gate_chain_altered"


class ApprovalExpired(GateClosed):
    """The sign-offs have expired."""

    code = "gate_approval_expired"


class OtherContent(GateClosed):
    """What would run is not what was signed off."""

    code = "gate_other_content"


class SignOffForged(GateClosed):
    """A sign-off does not carry a true signature, or came back after it was withdrawn."""

    code = "gate_sign_off_forged"


class PasskeyUnproved(GateClosed):
    """Policy demands a passkey, and an approval is not proved by one that the workers' key vouches for."""

    code = "gate_passkey_unproved"


class TakenBack(GateClosed):
    """A sign-off or a passkey counts in its table, but the ledger says that it was taken back."""

    code = "gate_taken_back"


class Vetoed(GateClosed):
    """Somebody rejected it or sent it back."""

    code = "gate_vetoed"


class QuorumLost(GateClosed):
    """Somebody who approved may no longer do so; another person has to."""

    code = "gate_quorum_lost"


class EmergencyTooWide(GateClosed):
    """An emergency for which fewer than two people agreed, or whose approval was to last longer than an hour."""

    code = "gate_emergency"


class PermitWrong(GateClosed):
    """There is no permit for this run, or its signature is not true."""

    code = "gate_permit_wrong"


class PermitExpired(GateClosed):
    """The permit has ended."""

    code = "gate_permit_expired"


class PlanUnsigned(GateClosed):
    """Nobody with a key asked for this plan."""

    code = "gate_plan_unsigned"


class NotOnlyReading(GateClosed):
    """A plan permit was asked for what could change something, or a run's permit for a plan step."""

    code = "gate_not_only_reading"
