package countersign.change

# METADATA
# title: The service owner agrees to every change
# description: One person of the team that owns the service signs, in every environment.
# custom:
#   rule: owner-signs
require contains {
	"stage": "Service owner",
	"order": 1,
	"quorum": 1,
	"teams": [input.service.owner],
	"exclude_authors": true,
	"signature": "session",
	"expires_in": data.countersign.approval.lasts,
	"why": {
		"rule": "owner-signs",
		"message": sprintf("%s belongs to the team %s, which signs for it.", [input.service.slug, input.service.owner]),
		"read": [{"path": "input.service.owner", "value": input.service.owner}],
	},
} if {
	input.service.owner != ""
}
