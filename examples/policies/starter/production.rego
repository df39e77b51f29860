package countersign.change

# METADATA
# title: Security agrees to critical services in production
# description: Tier 1 services need a second pair of eyes from Security before production changes.
# custom:
#   rule: security-signs-tier-1
require contains {
	"stage": "Security",
	"order": 1,
	"quorum": 1,
	"teams": ["security"],
	"exclude_authors": true,
	"signature": "session",
	"expires_in": data.countersign.approval.lasts,
	"why": {
		"rule": "security-signs-tier-1",
		"message": sprintf("%s is a tier 1 service in production.", [input.service.slug]),
		"read": [
			{"path": "input.environment.slug", "value": input.environment.slug},
			{"path": "input.service.tier", "value": input.service.tier},
		],
	},
} if {
	input.environment.slug == "production"
	input.service.tier == 1
	not input.change.emergency
}
