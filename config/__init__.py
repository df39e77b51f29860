"""Composition root: settings, addresses, servers. Imports all; imported by none."""
