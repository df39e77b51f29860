package countersign.change

import data.countersign.bank

# METADATA
# title: Vendors are vouched for
# description: What somebody of a vendor asks for is signed by vendor management, and is agreed within half a day or not at all.
# custom:
#   rule: vendor-vouched-for
require contains {
	"stage": "Vendor management",
	"order": 1,
	"quorum": 1,
	"teams": [bank.vendor_managers],
	"exclude_authors": true,
	"signature": "session",
	"expires_in": 12 * bank.hour,
	"due_in": 4 * bank.hour,
	"escalate_to": [bank.security],
	"why": {
		"rule": "vendor-vouched-for",
		"message": "Somebody of a vendor asks for it.",
		"read": [{"path": "input.requester.teams", "value": input.requester.teams}],
	},
} if {
	bank.routine
	bank.by_vendor
}

# METADATA
# title: Vendors ask for nothing beyond routine
# description: Neither emergencies nor governed acts are requested by a vendor's people.
# custom:
#   rule: vendors-ask-for-routine
deny contains {
	"rule": "vendors-ask-for-routine",
	"message": "A vendor's people request neither emergencies nor governed acts. The owner team can.",
} if {
	bank.by_vendor
	not bank.routine
}

# METADATA
# title: A vendor's work is looked over
# description: Somebody of the bank reads what the vendor's change did and keeps the finding.
# custom:
#   rule: look-over-vendor
obligations contains {
	"rule": "look-over-vendor",
	"message": "Read the log of what the vendor changed, and say what you found.",
} if {
	bank.guarded
	bank.by_vendor
}
