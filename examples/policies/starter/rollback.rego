package countersign.change

# METADATA
# title: Going back says what it goes back from
# description: Reviewers of a rollback are told so; it asks the same people, and does what was signed with the change.
# custom:
#   rule: tells-rollback
warn contains {
	"rule": "tells-rollback",
	"message": sprintf("It undoes %s with the steps that were signed with it.", [input.change.rolls_back]),
} if {
	input.change.rolls_back != null
}
