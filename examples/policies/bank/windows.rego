package countersign.change

import data.countersign.bank
import data.countersign.nights

# METADATA
# title: Critical services change at night
# description: Tier 1 services in protected environments start from 20:00 to 06:00 in the bank's zone, on nights that begin Monday to Thursday.
# custom:
#   rule: critical-at-night
windows contains {
	"rule": "critical-at-night",
	"message": sprintf("%s changes on the night of %s only, or on another one that is named.", [input.service.slug, night.day]),
	"not_before": night.begins,
	"not_after": night.ends,
} if {
	bank.critical
	some night in nights.coming
}
