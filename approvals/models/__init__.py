"""The rows of this floor: what policy decided, who agreed, what may not start. A chain knows no change."""

from approvals.models.chain import Chain, Permit, Recusal, SignOff, Stage
from approvals.models.claim import Claim, HandOver
from approvals.models.commit import PolicyCommit, PolicySource
from approvals.models.feed import Feed
from approvals.models.freeze import Freeze, FreezeException, Period, Window
from approvals.models.obligation import Obligation
from approvals.models.passkey import Passkey
from approvals.models.policy import Bundle, Decision
from approvals.models.replay import Difference, Replay, Shadow
from approvals.models.switch import KillSwitch

__all__ = [
    "Bundle", "Chain", "Claim", "Decision", "Difference", "Feed", "Freeze", "FreezeException", "HandOver",
    "KillSwitch", "Obligation", "Passkey", "Period", "Permit", "PolicyCommit", "PolicySource", "Recusal", "Replay",
    "Shadow", "SignOff", "Stage", "Window",
]  # fmt: skip
