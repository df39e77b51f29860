package countersign.governance_test

import data.countersign.change

facts := {
	"api": "v1",
	"phase": "request",
	"now": "2026-01-05T09:00:00Z",
	"change": {"id": "CHG-1", "revision": 1, "inputs": {"team": "security", "account": "mara"}, "reason": "", "emergency": false, "plan": null},
	"workflow": {"slug": "membership-start", "title": "", "version": 1, "owner": "platform", "effects": [], "acts": ["membership.start"]},
	"service": {"slug": "countersign", "tier": 1, "owner": "platform"},
	"environment": {"slug": "control-room", "tier": 1, "protected": true, "frozen_by": []},
	"requester": {"id": "", "teams": ["platform"], "kind": "person"},
	"authors": [],
	"history": {"last_success": null, "recent_failures": 0, "similar_changes": 0},
	"evidence": {},
	"claims": {},
}

stages contains [one.stage, one.teams[_], one.quorum] if some one in change.require

test_a_governed_act_needs_its_owner_and_security if {
	stages == {["Service owner", "platform", 1], ["Security", "security", 1]} with input as facts
}

test_the_stage_says_which_act_it_is if {
	some one in change.require with input as facts
	one.why.message == "It changes who must agree (membership.start)."
}

signatures contains one.signature if some one in change.require

test_security_vouches_for_a_passkey_with_a_passkey if {
	signatures == {"session"} with input as facts
	signatures == {"session", "passkey"} with input as facts with input.workflow.acts as ["passkey.enrol"]
}

test_a_service_account_asks_for_none if {
	count(change.deny) == 1 with input as facts with input.requester.kind as "service"
}
