package countersign.change

import data.countersign.bank

# METADATA
# title: A team does not change what it owns alone
# description: Where the requester is one of the owners, somebody outside the team agrees before anything protected changes.
# custom:
#   rule: second-line
require contains {
	"stage": "Second line",
	"order": 1,
	"quorum": 1,
	"teams": [bank.operations],
	"exclude_authors": true,
	"signature": "session",
	"expires_in": bank.lasts,
	"member_for": bank.joined_for,
	"why": {
		"rule": "second-line",
		"message": sprintf("%s asks for a change of what it owns.", [input.service.owner]),
		"read": [
			{"path": "input.service.owner", "value": input.service.owner},
			{"path": "input.requester.teams", "value": input.requester.teams},
		],
	},
} if {
	bank.guarded
	not bank.critical
	not bank.important
	not bank.small
	input.service.owner in input.requester.teams
}

# METADATA
# title: Security does not ask for what it signs
# description: The people who sign critical changes do not request them; the owners do.
# custom:
#   rule: security-asks-for-nothing-critical
deny contains {
	"rule": "security-asks-for-nothing-critical",
	"message": "Security signs changes of tier 1 services, so it does not request them. Somebody of the owner team can.",
} if {
	bank.critical
	bank.security in input.requester.teams
	not input.service.owner == bank.security
}

# METADATA
# title: Machines ask for routine only
# description: A service account requests neither emergencies nor governed acts nor changes of data in protected environments.
# custom:
#   rule: machines-ask-for-routine
deny contains {
	"rule": "machines-ask-for-routine",
	"message": sprintf("A service account cannot request %s. A person can.", [what]),
} if {
	input.requester.kind != "person"
	some what in bank.beyond_routine
}
