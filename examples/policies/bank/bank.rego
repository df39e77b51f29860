# What this bank calls its teams and its hours, and what the rules ask of them. Adapt this file first: every team that
# is named here has to exist, or whatever asks it is refused.
package countersign.bank

security := "security"

operations := "operations"

data_office := "data-office"

vendor_managers := "vendor-management"

vendors := "vendors"

# Teams too small to bring two people for one change; Operations lends the second.
small_teams := {"treasury"}

# Workflows that write data of customers. An effect that cannot be repeated counts as well, whatever the name.
data_workflows := {"run-migration", "correct-bookings"}

# When the most critical services may change: from 20:00 to 06:00 on nights that begin Monday to Thursday.
zone := "Europe/Zurich"

night_begins := 20

night_ends := 6

nights := {"Monday", "Tuesday", "Wednesday", "Thursday"}

day := 86400

hour := 3600

emergency if input.change.emergency

governed if input.environment.slug == "control-room"

# The everyday path: neither an emergency nor a change of Countersign itself.
routine if {
	not emergency
	not governed
}

guarded if {
	routine
	input.environment.protected
}

critical if {
	guarded
	input.service.tier == 1
}

important if {
	guarded
	input.service.tier == 2
}

small if input.service.owner in small_teams

writes_data if input.workflow.slug in data_workflows

writes_data if "at_most_once" in input.workflow.effects

by_vendor if vendors in input.requester.teams

default owners := 1

owners := 2 if {
	critical
	not small
}

# A vendor's change is agreed within half a day, so its owners are joined earlier.
default owners_due := 86400

owners_due := 4 * hour if by_vendor

# How long approvals of everyday changes last: what comes back is asked for again every month.
default lasts := 259200

lasts := 2592000 if input.change.repeats != null

# Nobody decides about something protected on the day on which they joined the team.
default joined_for := 0

joined_for := day if input.environment.protected

# What only people request, in words.
beyond_routine contains "an emergency" if emergency

beyond_routine contains "a governed act" if governed

beyond_routine contains "a change of data in a protected environment" if {
	guarded
	writes_data
}

# Governed acts that change the rules by which everybody works.
rules_changed contains act if {
	some act in input.workflow.acts
	strings.any_prefix_match(act, ["policy.", "freeze.", "window.", "environment.", "service."])
}
