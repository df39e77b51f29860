package countersign.change

import data.countersign.bank

# METADATA
# title: The data office agrees to changes of data
# description: Whatever writes data of customers, or cannot be repeated, is signed by the data office in protected environments.
# custom:
#   rule: data-office-agrees
require contains {
	"stage": "Data office",
	"order": 2,
	"quorum": 1,
	"teams": [bank.data_office],
	"exclude_authors": true,
	"signature": "session",
	"expires_in": bank.lasts,
	"member_for": bank.joined_for,
	"why": {
		"rule": "data-office-agrees",
		"message": sprintf("%s writes data that it cannot take back.", [input.workflow.title]),
		"read": [
			{"path": "input.workflow.slug", "value": input.workflow.slug},
			{"path": "input.workflow.effects", "value": input.workflow.effects},
			{"path": "input.environment.protected", "value": input.environment.protected},
		],
	},
} if {
	bank.guarded
	bank.writes_data
}

# METADATA
# title: Changes of data are reconciled afterwards
# description: The requester owes a comparison of what was counted before and after; somebody else confirms it.
# custom:
#   rule: reconcile-data
obligations contains {
	"rule": "reconcile-data",
	"message": "Compare the counts before and after, and say where the comparison is kept.",
} if {
	bank.guarded
	bank.writes_data
}
