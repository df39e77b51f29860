package countersign.change

import data.countersign.bank

# METADATA
# title: Owners and Security decide an emergency together
# description: One person of the owner team and one of Security, within the hour, in every environment.
# custom:
#   rule: emergency-owner
require contains {
	"stage": "Service owner",
	"order": 1,
	"quorum": 1,
	"teams": [input.service.owner, bank.operations],
	"exclude_authors": true,
	"signature": "session",
	"expires_in": bank.hour,
	"why": {
		"rule": "emergency-owner",
		"message": sprintf("It is an emergency of %s.", [input.service.slug]),
		"read": [{"path": "input.change.emergency", "value": input.change.emergency}],
	},
} if {
	bank.emergency
}

# METADATA
# title: Security signs an emergency
# description: The second person comes from Security; no team lifts the normal rules for itself.
# custom:
#   rule: emergency-security
require contains {
	"stage": "Security",
	"order": 1,
	"quorum": 1,
	"teams": [bank.security],
	"exclude_authors": true,
	"signature": "session",
	"expires_in": bank.hour,
	"why": {
		"rule": "emergency-security",
		"message": "An emergency needs a second person, from Security.",
		"read": [{"path": "input.change.emergency", "value": input.change.emergency}],
	},
} if {
	bank.emergency
}
