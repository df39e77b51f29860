package countersign.change_test

import data.countersign.change

facts := {
	"api": "v1",
	"phase": "request",
	"now": "2026-01-05T09:00:00Z",
	"change": {"id": "CHG-1", "revision": 1, "inputs": {}, "reason": "", "emergency": false, "plan": null},
	"workflow": {"slug": "deploy-service", "title": "Deploy", "version": 1, "owner": "platform", "effects": []},
	"service": {"slug": "payments", "tier": 1, "owner": "payments"},
	"environment": {"slug": "production", "tier": 1, "protected": true, "frozen_by": []},
	"requester": {"id": "", "teams": ["payments"], "kind": "person"},
	"authors": [],
	"history": {"last_success": null, "recent_failures": 0, "similar_changes": 0},
	"evidence": {},
	"claims": {},
}

stages contains [one.stage, one.teams[_], one.quorum] if some one in change.require

service_account := object.union(facts.requester, {"kind": "service"})

test_tier_1_in_production_needs_owner_and_security if {
	stages == {["Service owner", "payments", 1], ["Security", "security", 1]} with input as facts
}

test_tier_2_in_production_needs_the_owner if {
	stages == {["Service owner", "payments", 1]} with input as facts with input.service.tier as 2
}

test_staging_needs_the_owner if {
	stages == {["Service owner", "payments", 1]} with input as facts with input.environment.slug as "staging"
}

test_test_needs_the_owner if {
	stages == {["Service owner", "payments", 1]} with input as facts with input.environment.slug as "test"
}

test_the_owner_is_the_team_of_the_service if {
	["Service owner", "cards", 1] in stages with input as facts with input.service.owner as "cards"
}

test_a_service_account_may_ask_for_a_routine_change if {
	count(change.deny) == 0 with input as facts with input.requester as service_account
}

test_a_freeze_warns_and_does_not_deny if {
	count(change.warn) == 1 with input as facts with input.environment.frozen_by as ["Year end"]
	count(change.deny) == 0 with input as facts with input.environment.frozen_by as ["Year end"]
}

test_three_failures_warn_and_two_do_not if {
	count(change.warn) == 1 with input as facts with input.history.recent_failures as 3
	count(change.warn) == 0 with input as facts with input.history.recent_failures as 2
}

repeated := object.union(facts.change, {"repeats": {"zone": "Europe/Zurich", "rule": "FREQ=DAILY;COUNT=3", "times": 3, "until": "2026-01-08T23:00:00Z"}})

lasting contains one.expires_in if some one in change.require

test_what_comes_back_is_approved_for_a_month if {
	lasting == {2592000} with input as facts with input.change as repeated
	lasting == {259200} with input as facts with input.change.repeats as null
}
