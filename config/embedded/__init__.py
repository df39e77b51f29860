"""Everything on one machine: a real PostgreSQL, a real Valkey and the product's own processes.

One of three places that start processes. Django is loaded once the servers are on their way, and never serves a
request here: it is what the product's processes are forked from.
"""
