"""The worker asks policy again: a newer one may ask for more of what was agreed to, and never for less."""

import pytest

from approvals import demand
from approvals.policy import bundles
from tests.approvals.cast import STARTER, TEST, authorise, complete, judge

MORE = """package countersign.change

# METADATA
# title: More
# custom:
#   rule: more
require contains {
	"stage": "More", "order": 3, "quorum": 1, "teams": ["%s"], "exclude_authors": true, "signature": "session",
	"expires_in": 259200,
	"why": {"rule": "more", "message": "More.", "read": [{"path": "input.service.tier", "value": input.service.tier}]},
}
"""
FORBIDDEN = """package countersign.change

# METADATA
# title: Not now
# custom:
#   rule: not-now
deny contains {"rule": "not-now", "message": "Not this week."} if input.service.tier == 1
"""


@pytest.fixture
def approved(bank):
    return complete(bank)


def now_judges(old="", new="", **files):
    """The starter policy, altered in one place and with these files beside it; what its tests say is left out."""
    sources = {one.name: one.read_text() for one in STARTER.glob("*.rego")}
    assert any(old in text for text in sources.values())
    sources = {name: text.replace(old, new) if old else text for name, text in sources.items()}
    kept = {name: text for name, text in sources.items() if not name.endswith("_test.rego")}
    tests = {"x_test.rego": "package x_test\n\ntest_it if { true }\n"}
    return bundles.activate(bundles.examine({**kept, **tests, **files}), source="newer", by=TEST)


@pytest.mark.parametrize(
    "alter",
    [
        {"more.rego": MORE % "security"},  # a second of the same team
        {"more.rego": MORE % "payments"},
        {"old": '"quorum": 1', "new": '"quorum": 2'},
        {"old": '"expires_in": data', "new": '"member_for": 60, "expires_in": data'},
        {"old": '"teams": ["security"]', "new": '"teams": ["risk"]'},
        {"no.rego": FORBIDDEN},
    ],
)
def test_a_newer_policy_that_asks_for_more_holds_what_was_agreed_to(approved, alter):
    now_judges(**alter)
    with pytest.raises(demand.PolicyTightened, match="Edit the change to ask again"):
        judge(approved)


@pytest.mark.parametrize(
    "alter",
    [
        {"old": '"stage": "Security"', "new": '"stage": "Second pair of eyes"'},
        {"old": "input.service.tier == 1", "new": "input.service.tier == 0"},  # Security is asked no more
        {"old": "data.countersign.approval.lasts", "new": "600"},
    ],
)
def test_c09_a_newer_policy_that_asks_for_less_changes_nothing(approved, alter):
    """What was pinned is what was agreed to, and what starts."""
    now_judges(**alter)
    assert authorise(approved).chain_id == approved.pk
