package countersign.approval

# Three days, or a month for what comes back: it is asked for again then.
default lasts := 259200

lasts := 2592000 if input.change.repeats != null
