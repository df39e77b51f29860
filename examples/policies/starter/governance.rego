package countersign.change

# METADATA
# title: Security agrees to every governed act
# description: Who may do what, what is protected and which policy judges is never one team's own decision.
# custom:
#   rule: security-signs-governance
require contains {
	"stage": "Security",
	"order": 1,
	"quorum": 1,
	"teams": ["security"],
	"exclude_authors": true,
	"signature": "session",
	"expires_in": 259200,
	"why": {
		"rule": "security-signs-governance",
		"message": sprintf("It changes who must agree (%s).", [concat(", ", input.workflow.acts)]),
		"read": [
			{"path": "input.environment.slug", "value": input.environment.slug},
			{"path": "input.workflow.acts", "value": input.workflow.acts},
		],
	},
} if {
	input.environment.slug == "control-room"
	not "passkey.enrol" in input.workflow.acts
}

# METADATA
# title: Security vouches for a passkey with a passkey
# description: A key that signs where a session does not suffice is not trusted on the word of a session.
# custom:
#   rule: passkey-vouches-for-passkey
require contains {
	"stage": "Security",
	"order": 1,
	"quorum": 1,
	"teams": ["security"],
	"exclude_authors": true,
	"signature": "passkey",
	"expires_in": 259200,
	"why": {
		"rule": "passkey-vouches-for-passkey",
		"message": "It lets somebody sign with a new passkey.",
		"read": [
			{"path": "input.environment.slug", "value": input.environment.slug},
			{"path": "input.workflow.acts", "value": input.workflow.acts},
		],
	},
} if {
	input.environment.slug == "control-room"
	"passkey.enrol" in input.workflow.acts
}

# METADATA
# title: Governed acts are asked for by people
# description: A service account cannot ask for more rights, for anybody.
# custom:
#   rule: person-asks-for-governance
deny contains {
	"rule": "person-asks-for-governance",
	"message": "A governed act is requested by a person, not by a service account.",
} if {
	input.environment.slug == "control-room"
	input.requester.kind != "person"
}
