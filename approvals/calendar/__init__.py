"""Times that come back: what "every Friday 16:00 to Monday 06:00 in Zurich" means in instants. Pure.

It must never ask a clock or a row: whoever judges brings the moment, and the moment is the database's.
"""
