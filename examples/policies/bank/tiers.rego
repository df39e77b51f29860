package countersign.change

import data.countersign.bank

# METADATA
# title: The owners agree, two of them where it is most critical
# description: One person of the team that owns the service signs every change; two sign for tier 1 services in protected environments.
# custom:
#   rule: owners-agree
require contains {
	"stage": "Service owner",
	"order": 1,
	"quorum": bank.owners,
	"teams": [input.service.owner],
	"exclude_authors": true,
	"signature": "session",
	"expires_in": bank.lasts,
	"due_in": bank.owners_due,
	"escalate_to": [bank.operations],
	"member_for": bank.joined_for,
	"why": {
		"rule": "owners-agree",
		"message": sprintf("%s belongs to %s, and %d of them agree.", [input.service.slug, input.service.owner, bank.owners]),
		"read": [
			{"path": "input.service.owner", "value": input.service.owner},
			{"path": "input.service.tier", "value": input.service.tier},
			{"path": "input.environment.protected", "value": input.environment.protected},
		],
	},
} if {
	not bank.emergency
}

# METADATA
# title: Operations agree to important services
# description: Somebody who carries the pager agrees to tier 2 services in protected environments, at the same time as the owners.
# custom:
#   rule: operations-agree
require contains {
	"stage": "Operations",
	"order": 1,
	"quorum": 1,
	"teams": [bank.operations],
	"exclude_authors": true,
	"signature": "session",
	"expires_in": bank.lasts,
	"member_for": bank.joined_for,
	"why": {
		"rule": "operations-agree",
		"message": sprintf("%s is a tier 2 service in a protected environment.", [input.service.slug]),
		"read": [
			{"path": "input.service.tier", "value": input.service.tier},
			{"path": "input.environment.protected", "value": input.environment.protected},
		],
	},
} if {
	bank.important
}

# METADATA
# title: Security signs for critical services with a passkey
# description: After the owners, one person of Security signs tier 1 services in protected environments on their own device.
# custom:
#   rule: security-signs-critical
require contains {
	"stage": "Security",
	"order": 2,
	"quorum": 1,
	"teams": [bank.security],
	"exclude_authors": true,
	"signature": "passkey",
	"expires_in": bank.lasts,
	"member_for": bank.joined_for,
	"why": {
		"rule": "security-signs-critical",
		"message": sprintf("%s is a tier 1 service in a protected environment.", [input.service.slug]),
		"read": [
			{"path": "input.service.tier", "value": input.service.tier},
			{"path": "input.environment.protected", "value": input.environment.protected},
		],
	},
} if {
	bank.critical
}
