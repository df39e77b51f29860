package countersign.pack_test

# A routine change of a tier 3 service in production, asked for by somebody of another team.
facts := {
	"api": "v1",
	"phase": "request",
	"now": "2026-01-05T09:00:00Z",
	"change": {"id": "CHG-1", "revision": 1, "inputs": {}, "reason": "", "emergency": false, "plan": null, "repeats": null},
	"workflow": {"slug": "deploy-service", "title": "Deploy", "version": 1, "owner": "platform", "effects": ["idempotent"], "acts": []},
	"service": {"slug": "statements", "tier": 3, "owner": "channels"},
	"environment": {"slug": "production", "tier": 1, "protected": true, "frozen_by": []},
	"requester": {"id": "", "teams": ["payments"], "kind": "person"},
	"authors": [],
	"history": {"last_success": "2026-01-02T09:00:00Z", "recent_failures": 0, "similar_changes": 4},
	"evidence": {},
	"claims": {},
}

in_test := object.union(facts, {"environment": {"slug": "test", "tier": 3, "protected": false, "frozen_by": []}})

tier(number) := object.union(facts, {"service": {"slug": "ledger", "tier": number, "owner": "payments"}, "requester": {"id": "", "teams": ["channels"], "kind": "person"}})

by(teams) := object.union(facts, {"requester": {"id": "", "teams": teams, "kind": "person"}})

by_machine(more) := object.union_n([facts, {"requester": {"id": "", "teams": [], "kind": "service"}}, more])

of(team, number) := object.union(facts, {"service": {"slug": "desk", "tier": number, "owner": team}})

doing(workflow) := object.union(facts, {"workflow": workflow})

emergency(told) := object.union(told, {"change": {"emergency": true}})

act(names) := object.union_n([facts, {
	"workflow": {"slug": "govern", "title": "Govern", "acts": names, "owner": "platform"},
	"service": {"slug": "countersign", "tier": 1, "owner": "platform"},
	"environment": {"slug": "control-room", "tier": 1, "protected": true, "frozen_by": []},
}])

stages contains [one.stage, one.quorum] if some one in data.countersign.change.require

denied contains one.rule if some one in data.countersign.change.deny

owed contains one.rule if some one in data.countersign.change.obligations

warned contains one.rule if some one in data.countersign.change.warn

asked(name) := found if {
	some found in data.countersign.change.require
	found.stage == name
}

# --- tiers ---

test_outside_protected_environments_one_owner_agrees if {
	stages == {["Service owner", 1]} with input as in_test
	stages == {["Service owner", 1]} with input as object.union(in_test, {"service": {"slug": "ledger", "tier": 1, "owner": "payments"}})
}

test_tier_3_needs_one_owner if stages == {["Service owner", 1]} with input as facts

test_tier_2_needs_operations_too if stages == {["Service owner", 1], ["Operations", 1]} with input as tier(2)

test_tier_1_needs_two_owners_and_security if stages == {["Service owner", 2], ["Security", 1]} with input as tier(1)

test_security_signs_after_the_owners_and_with_a_passkey if {
	found := asked("Security") with input as tier(1)
	[found.order, found.signature, found.teams] == [2, "passkey", ["security"]]
}

test_owners_who_are_silent_for_a_day_are_joined_by_operations if {
	found := asked("Service owner") with input as facts
	[found.due_in, found.escalate_to] == [86400, ["operations"]]
}

test_new_members_wait_a_day_where_it_is_protected if {
	asked("Service owner").member_for == 86400 with input as facts
	asked("Service owner").member_for == 0 with input as in_test
}

test_what_comes_back_is_approved_for_a_month if {
	again := {"change": {"repeats": {"zone": "Europe/Zurich", "rule": "FREQ=DAILY;COUNT=3", "times": 3, "until": "2026-01-08T23:00:00Z"}}}
	{one.expires_in | some one in data.countersign.change.require} == {2592000} with input as object.union(tier(1), again)
	{one.expires_in | some one in data.countersign.change.require} == {259200} with input as tier(1)
}

# --- separation of duties ---

test_a_team_that_asks_for_its_own_needs_somebody_else if {
	stages == {["Service owner", 1], ["Second line", 1]} with input as by(["channels"])
}

test_elsewhere_it_does_not if {
	stages == {["Service owner", 1]} with input as object.union(in_test, {"requester": {"id": "", "teams": ["channels"], "kind": "person"}})
}

test_operations_are_not_asked_twice_of_one_change if {
	count(data.countersign.change.require) == 2 with input as object.union(tier(2), {"requester": {"id": "", "teams": ["payments"], "kind": "person"}})
}

test_security_does_not_ask_for_what_it_signs if {
	security := {"requester": {"id": "", "teams": ["security"], "kind": "person"}}
	denied == {"security-asks-for-nothing-critical"} with input as object.union(tier(1), security)
	denied == set() with input as object.union(tier(2), security)
	denied == set() with input as object.union(of("security", 1), security)
}

test_a_machine_asks_for_routine_only if {
	denied == set() with input as by_machine({})
	denied == {"machines-ask-for-routine"} with input as by_machine({"change": {"emergency": true}})
	denied == {"machines-ask-for-routine"} with input as by_machine({"workflow": {"slug": "run-migration"}})
	denied == set() with input as by_machine({"workflow": {"slug": "run-migration"}, "environment": {"protected": false}})
	denied == {"machines-ask-for-routine"} with input as object.union(act(["membership.start"]), {"requester": {"kind": "service"}})
}

# --- small teams ---

test_operations_lend_a_small_team_the_second_person if {
	stages == {["Service owner", 1], ["Second person", 1]} with input as of("treasury", 3)
	stages == {["Service owner", 1], ["Second person", 1], ["Security", 1]} with input as of("treasury", 1)
	stages == {["Service owner", 1], ["Operations", 1]} with input as of("treasury", 2)
}

test_a_small_team_that_asks_for_its_own_is_lent_one_once if {
	own := {"requester": {"id": "", "teams": ["treasury"], "kind": "person"}}
	stages == {["Service owner", 1], ["Second person", 1]} with input as object.union(of("treasury", 3), own)
}

test_other_teams_are_lent_nobody if not asked("Second person") with input as of("channels", 1)

# --- data ---

test_the_data_office_agrees_to_what_writes_data if {
	every told in [doing({"slug": "correct-bookings"}), doing({"slug": "run-migration"}), doing({"effects": ["read_only", "at_most_once"]})] {
		["Data office", 1] in stages with input as told
		owed == {"reconcile-data"} with input as told
	}
}

test_what_can_be_repeated_is_no_change_of_data if {
	stages == {["Service owner", 1]} with input as doing({"effects": ["idempotent", "read_only"]})
	owed == set() with input as facts
}

test_data_of_a_test_environment_is_nobodys if {
	stages == {["Service owner", 1]} with input as object.union(in_test, {"workflow": {"slug": "run-migration"}})
	owed == set() with input as object.union(in_test, {"workflow": {"slug": "run-migration"}})
}

# --- nights ---

spans contains [one.not_before, one.not_after] if some one in data.countersign.change.windows

at(now) := object.union(tier(1), {"now": now})

test_critical_services_start_on_the_nights_of_the_week if {
	spans == {
		["2026-01-05T19:00:00Z", "2026-01-06T05:00:00Z"],
		["2026-01-06T19:00:00Z", "2026-01-07T05:00:00Z"],
		["2026-01-07T19:00:00Z", "2026-01-08T05:00:00Z"],
		["2026-01-08T19:00:00Z", "2026-01-09T05:00:00Z"],
		["2026-01-12T19:00:00Z", "2026-01-13T05:00:00Z"],
	} with input as at("2026-01-05T09:00:00Z")
}

test_the_night_that_lasts_still_counts if {
	["2026-01-05T19:00:00Z", "2026-01-06T05:00:00Z"] in spans with input as at("2026-01-06T04:59:59Z")
	not ["2026-01-05T19:00:00Z", "2026-01-06T05:00:00Z"] in spans with input as at("2026-01-06T05:00:00Z")
}

test_a_night_keeps_its_hours_when_clocks_change if {
	["2026-03-26T19:00:00Z", "2026-03-27T05:00:00Z"] in spans with input as at("2026-03-26T09:00:00Z")
	["2026-03-30T18:00:00Z", "2026-03-31T04:00:00Z"] in spans with input as at("2026-03-26T09:00:00Z")
	["2026-10-22T18:00:00Z", "2026-10-23T04:00:00Z"] in spans with input as at("2026-10-22T09:00:00Z")
	["2026-10-26T19:00:00Z", "2026-10-27T05:00:00Z"] in spans with input as at("2026-10-22T09:00:00Z")
}

test_other_services_start_at_any_hour if {
	spans == set() with input as facts
	spans == set() with input as emergency(tier(1))
	spans == set() with input as object.union(tier(1), {"environment": {"slug": "test", "protected": false}})
}

# --- vendors ---

test_a_vendors_change_is_vouched_for_and_looked_over if {
	found := asked("Vendor management") with input as by(["vendors"])
	[found.teams, found.expires_in, found.escalate_to] == [["vendor-management"], 43200, ["security"]]
	owed == {"look-over-vendor"} with input as by(["vendors"])
	asked("Service owner").due_in < found.expires_in with input as by(["vendors"])
}

test_nobody_vouches_for_the_banks_own_people if {
	not asked("Vendor management") with input as facts
	owed == set() with input as facts
}

test_vendors_ask_for_routine_only if {
	"vendors-ask-for-routine" in denied with input as emergency(by(["vendors"]))
	"vendors-ask-for-routine" in denied with input as object.union(act(["membership.start"]), {"requester": {"teams": ["vendors"]}})
	denied == set() with input as by(["vendors"])
}

# --- emergencies ---

test_two_decide_an_emergency_within_the_hour if {
	stages == {["Service owner", 1], ["Security", 1]} with input as emergency(tier(1))
	every stage in ["Service owner", "Security"] {
		asked(stage).expires_in == 3600 with input as emergency(in_test)
		asked(stage).order == 1 with input as emergency(in_test)
	}
}

# --- plans ---

planned(destroys, told) := object.union(told, {"change": {"plan": {"digest": "sha256:0", "changes": 2, "destroys": destroys}}})

test_what_is_destroyed_needs_security if {
	stages == {["Service owner", 1], ["Security", 1]} with input as planned(1, facts)
	asked("Security").signature == "session" with input as planned(1, facts)
}

test_a_plan_that_does_not_say_needs_security if {
	["Security", 1] in stages with input as planned(null, facts)
}

test_a_plan_that_destroys_nothing_and_no_plan_need_nobody_more if {
	stages == {["Service owner", 1]} with input as planned(0, facts)
	stages == {["Service owner", 1]} with input as facts
}

test_what_is_destroyed_outside_of_protected_environments_is_the_owners_matter if {
	stages == {["Service owner", 1]} with input as planned(1, in_test)
}

test_for_critical_services_security_is_asked_once_and_by_passkey if {
	count([one | some one in data.countersign.change.require; one.stage == "Security"]) == 1 with input as planned(1, tier(1))
	asked("Security").signature == "passkey" with input as planned(1, tier(1))
}

# --- governed acts ---

test_a_governed_act_needs_its_owner_and_security_by_passkey if {
	stages == {["Service owner", 1], ["Security", 1]} with input as act(["membership.start"])
	asked("Security").signature == "passkey" with input as act(["membership.start"])
}

test_other_rules_concern_operations if {
	every name in ["policy.activate", "freeze.lift", "window.create", "environment.unprotect", "service.tier"] {
		["Operations", 1] in stages with input as act([name])
	}
	not ["Operations", 1] in stages with input as act(["passkey.enrol"])
}

test_who_agrees_is_not_changed_in_an_emergency if {
	denied == {"no-governance-in-emergencies"} with input as emergency(act(["membership.start"]))
	denied == set() with input as act(["membership.start"])
}

# --- notes ---

test_a_freeze_warns if {
	warned == {"frozen-now"} with input as object.union(facts, {"environment": {"frozen_by": ["Year end"]}})
	warned == set() with input as facts
}

test_two_failures_warn_and_one_does_not if {
	warned == {"failed-lately"} with input as object.union(facts, {"history": {"recent_failures": 2}})
	warned == set() with input as object.union(facts, {"history": {"recent_failures": 1}})
	warned == set() with input as object.union(in_test, {"history": {"recent_failures": 2}})
}

test_the_first_time_warns if {
	warned == {"first-of-its-kind"} with input as object.union(facts, {"history": {"last_success": null}})
	warned == set() with input as object.union(in_test, {"history": {"last_success": null}})
}
