package countersign.change

import data.countersign.bank

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
# description: Two failures in a row deserve a look before the next try in a protected environment.
# custom:
#   rule: failed-lately
warn contains {
	"rule": "failed-lately",
	"message": sprintf("The last %d runs of this kind failed.", [input.history.recent_failures]),
} if {
	bank.guarded
	input.history.recent_failures >= 2
}

# METADATA
# title: It was never done here
# description: The first run of a workflow for a service in a protected environment is read with care.
# custom:
#   rule: first-of-its-kind
warn contains {
	"rule": "first-of-its-kind",
	"message": sprintf("%s never succeeded for %s in %s.", [input.workflow.title, input.service.slug, input.environment.slug]),
} if {
	bank.guarded
	input.history.last_success == null
}
