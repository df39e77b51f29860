package countersign.change

import data.countersign.bank

# METADATA
# title: Operations lend small teams a second person
# description: A team that cannot bring two people of its own is joined by one of Operations for everything protected.
# custom:
#   rule: lend-a-second
require contains {
	"stage": "Second person",
	"order": 1,
	"quorum": 1,
	"teams": [bank.operations],
	"exclude_authors": true,
	"signature": "session",
	"expires_in": bank.lasts,
	"member_for": bank.joined_for,
	"why": {
		"rule": "lend-a-second",
		"message": sprintf("%s is a small team, so Operations agree as well.", [input.service.owner]),
		"read": [
			{"path": "input.service.owner", "value": input.service.owner},
			{"path": "input.environment.protected", "value": input.environment.protected},
		],
	},
} if {
	bank.guarded
	bank.small
	not bank.important
}
