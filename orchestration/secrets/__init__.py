"""Secrets: references with versions for the product, values for a step's own process tree and for nobody else.

The product seals what a person writes and can open nothing. `opener.py` opens, in a process of its own below a step's
supervisor; what it imports (`envelope`, `files`, `vault`, `provider`) knows no Django and no database.
"""
