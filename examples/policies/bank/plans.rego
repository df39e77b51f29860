package countersign.change

import data.countersign.bank

# METADATA
# title: Security agrees to what is destroyed
# description: Where a plan deletes, replaces or cannot take back anything in a protected environment, or does not say whether it does, somebody of Security agrees; for tier 1 services they do anyway.
# custom:
#   rule: security-agrees-to-destruction
require contains {
	"stage": "Security",
	"order": 2,
	"quorum": 1,
	"teams": [bank.security],
	"exclude_authors": true,
	"signature": "session",
	"expires_in": bank.lasts,
	"member_for": bank.joined_for,
	"why": {
		"rule": "security-agrees-to-destruction",
		"message": "Something would be destroyed, or the plan does not say that nothing is.",
		"read": [
			{"path": "input.change.plan.destroys", "value": input.change.plan.destroys},
			{"path": "input.environment.protected", "value": input.environment.protected},
		],
	},
} if {
	bank.guarded
	not bank.critical
	input.change.plan.destroys != 0
}
