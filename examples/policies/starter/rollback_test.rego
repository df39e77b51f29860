package countersign.rollback_test

import data.countersign.change
import data.countersign.change_test.facts

back := object.union(facts.change, {"rolls_back": "CHG-7"})

told contains one.message if some one in change.warn

test_a_rollback_is_told_with_what_it_undoes if {
	"It undoes CHG-7 with the steps that were signed with it." in told with input as facts with input.change as back
}

test_any_other_change_is_not if {
	every one in change.warn {
		one.rule != "tells-rollback"
	} with input as facts
}

test_a_rollback_asks_whoever_the_change_asks if {
	same := {one.stage | some one in change.require} with input as facts
	same == {one.stage | some one in change.require} with input as facts with input.change as back
}
