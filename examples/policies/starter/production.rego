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
	"expires_in": 259200,
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

# METADATA
# title: Security agrees to every emergency in production
# description: An emergency change is decided by two people, the second from Security, within the hour.
# custom:
#   rule: security-signs-emergency
require contains {
	"stage": "Security",
	"order": 1,
	"quorum": 1,
	"teams": ["security"],
	"exclude_authors": true,
	"signature": "session",
	"expires_in": 3600,
	"why": {
		"rule": "security-signs-emergency",
		"message": "An emergency in production needs a second person from Security.",
		"read": [
			{"path": "input.environment.slug", "value": input.environment.slug},
			{"path": "input.change.emergency", "value": input.change.emergency},
		],
	},
} if {
	input.environment.slug == "production"
	input.change.emergency
}

# METADATA
# title: Services do not ask for emergencies
# description: A person answers for an emergency, so a service account cannot ask for one.
# custom:
#   rule: person-asks-for-emergency
deny contains {
	"rule": "person-asks-for-emergency",
	"message": "An emergency change is requested by a person, not by a service account.",
} if {
	input.change.emergency
	input.requester.kind != "person"
}
