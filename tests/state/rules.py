"""The policy under which the machines walk: what it asks depends on the environment, and on whether it is urgent."""

from tests.abuse.attack import activate
from tests.state.model import Rank

OWNER, SECURITY = "Service owner", "Security"
TEAM = {OWNER: "payments", SECURITY: "security"}
# Side by side; two owners before Security; two people at once, through a freeze.
ASKS = {
    "production": {OWNER: Rank(1, 1), SECURITY: Rank(1, 1)},
    "staging": {OWNER: Rank(1, 2), SECURITY: Rank(2, 1)},
    "emergency": {OWNER: Rank(1, 1), SECURITY: Rank(1, 1)},
}
STAGE = """
# METADATA
# title: %(stage)s agrees (%(kind)s)
# custom:
#   rule: %(rule)s
require contains {
	"stage": "%(stage)s", "order": %(order)s, "quorum": %(quorum)s, "teams": ["%(team)s"], "exclude_authors": true,
	"signature": "session", "expires_in": 3600,
	"why": {"rule": "%(rule)s", "message": "Because.", "read": [{"path": "input.api", "value": input.api}]},
} if {
	data.kind.is == "%(kind)s"
}
"""
HEAD = """
package countersign.change

deny := []

warn := []

windows := []

obligations := []
"""
KIND = """
package kind

is := "emergency" if { input.change.emergency } else := input.environment.slug
"""


def judge() -> None:
    """This policy is the active one."""
    stages = [
        STAGE % {
            "stage": stage, "kind": kind, "order": rank.order, "quorum": rank.quorum, "team": TEAM[stage],
            "rule": f"{TEAM[stage]}-signs-{kind}",
        }
        for kind, ranks in ASKS.items()
        for stage, rank in ranks.items()
    ]  # fmt: skip
    activate(rules=HEAD + "".join(stages), kind=KIND)
