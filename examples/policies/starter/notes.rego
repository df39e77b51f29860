package countersign.change

# METADATA
# title: The environment is frozen
# description: A freeze does not stop a request; the start waits until the freeze is over.
# custom:
#   rule: frozen-now
warn contains {
	"rule": "frozen-now",
	"message": sprintf("%s is frozen by %s; the run starts after that.", [input.environment.slug, name]),
} if {
	some name in input.environment.frozen_by
}

# METADATA
# title: Recent runs failed
# description: Three failures of this workflow and service in a row deserve a look before the next try.
# custom:
#   rule: failed-lately
warn contains {
	"rule": "failed-lately",
	"message": sprintf("The last %d runs of this kind failed.", [input.history.recent_failures]),
} if {
	input.history.recent_failures >= 3
}

windows := []

obligations := []
