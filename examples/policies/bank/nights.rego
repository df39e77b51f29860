# The nights of the coming week, or month for what comes back, as instants. A wall's clock becomes an instant by the offset that its zone has at about
# that hour; clocks change between midnight and 04:00, so neither end of a night comes near.
package countersign.nights

import data.countersign.bank

days_ahead := numbers.range(-1, last_day) # yesterday's night may still last

default last_day := 7

last_day := 31 if input.change.repeats != null

hour_ns := 3600000000000

coming contains {"day": weekday, "begins": begins, "ends": ends} if {
	some ahead in days_ahead
	noon := time.add_date(local_noon, 0, 0, ahead)
	weekday := time.weekday(noon)
	weekday in bank.nights
	begins := stamp(instant(noon + ((bank.night_begins - 12) * hour_ns)))
	ends := stamp(instant(noon + ((bank.night_ends + 12) * hour_ns)))
	time.parse_rfc3339_ns(ends) > now
}

now := time.parse_rfc3339_ns(input.now)

# Noon of the local day, read as if the wall hung in Greenwich.
local_noon := time.parse_rfc3339_ns(sprintf("%04d-%02d-%02dT12:00:00Z", time.date([now, bank.zone])))

# The instant at which a wall in the bank's zone reads what one in Greenwich reads at `wall`.
instant(wall) := wall - offset(wall)

offset(at) := as_read(at) - at

as_read(at) := read if {
	[year, month, date] := time.date([at, bank.zone])
	[hours, minutes, seconds] := time.clock([at, bank.zone])
	read := time.parse_rfc3339_ns(sprintf("%04d-%02d-%02dT%02d:%02d:%02dZ", [year, month, date, hours, minutes, seconds]))
}

stamp(at) := sprintf("%04d-%02d-%02dT%02d:%02d:%02dZ", array.concat(time.date(at), time.clock(at)))
