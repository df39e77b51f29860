package countersign.emergency_test

import data.countersign.change
import data.countersign.change_test.facts

emergency := object.union(facts.change, {"emergency": true})

service_account := object.union(facts.requester, {"kind": "service"})

test_an_emergency_needs_security_within_the_hour_wherever_it_is if {
	every slug in ["production", "staging"] {
		some one in change.require with input as facts with input.change as emergency with input.environment.slug as slug
		one.stage == "Security"
		one.expires_in == 3600
	}
}

test_an_emergency_asks_two_people_and_security_once if {
	count(change.require) == 2 with input as facts with input.change as emergency
	count(change.require) == 2 with input as facts with input.change as emergency with input.environment.slug as "test"
}

test_a_service_account_cannot_ask_for_an_emergency if {
	count(change.deny) == 1 with input as facts with input.change as emergency with input.requester as service_account
}
