package countersign.change

import data.countersign.bank

# METADATA
# title: Security signs every governed act with a passkey
# description: Who may do what, what is protected and which policy judges is signed on a person's own device.
# custom:
#   rule: security-signs-governance
require contains {
	"stage": "Security",
	"order": 2,
	"quorum": 1,
	"teams": [bank.security],
	"exclude_authors": true,
	"signature": "passkey",
	"expires_in": 3 * bank.day,
	"member_for": bank.joined_for,
	"why": {
		"rule": "security-signs-governance",
		"message": sprintf("It changes who must agree (%s).", [concat(", ", input.workflow.acts)]),
		"read": [
			{"path": "input.environment.slug", "value": input.environment.slug},
			{"path": "input.workflow.acts", "value": input.workflow.acts},
		],
	},
} if {
	bank.governed
	not bank.emergency
}

# METADATA
# title: Operations agree to other rules
# description: A policy, a freeze that ends early and a weaker environment concern whoever carries the pager.
# custom:
#   rule: operations-agree-to-rules
require contains {
	"stage": "Operations",
	"order": 1,
	"quorum": 1,
	"teams": [bank.operations],
	"exclude_authors": true,
	"signature": "session",
	"expires_in": 3 * bank.day,
	"why": {
		"rule": "operations-agree-to-rules",
		"message": sprintf("It changes the rules by which everybody works (%s).", [concat(", ", bank.rules_changed)]),
		"read": [
			{"path": "input.environment.slug", "value": input.environment.slug},
			{"path": "input.workflow.acts", "value": input.workflow.acts},
		],
	},
} if {
	bank.governed
	not bank.emergency
	count(bank.rules_changed) > 0
}

# METADATA
# title: Countersign knows no emergency of its own
# description: Who must agree is never changed on the emergency path.
# custom:
#   rule: no-governance-in-emergencies
deny contains {
	"rule": "no-governance-in-emergencies",
	"message": "Who must agree is not changed in an emergency. Request it as a governed act.",
} if {
	bank.governed
	bank.emergency
}
