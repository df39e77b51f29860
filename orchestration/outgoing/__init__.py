"""Entries on their way out: each destination is sent what the log has sealed, in order and at least once.

The ledger is the outbox. A destination holds a position in it; `batches.py` reads what comes next, `deliveries.py`
claims it and writes what became of it, and `child.py`, a process without Django, opens the secret and sends.
"""
