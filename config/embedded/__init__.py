"""Everything on one machine: a real PostgreSQL, a real Valkey and the product's own processes.

One of three places that start processes. Imports nothing of Django: the supervisor stays small, and a broken
setting cannot keep it from stopping what it started.
"""
