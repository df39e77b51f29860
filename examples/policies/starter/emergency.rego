package countersign.change

# METADATA
# title: Security agrees to every emergency
# description: In every environment an emergency is decided by two people, the second from Security, within the hour.
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
		"message": "An emergency needs a second person, from Security.",
		"read": [{"path": "input.change.emergency", "value": input.change.emergency}],
	},
} if {
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
