"""Workflows as code: YAML to an immutable version, a version and inputs to the bytes that are signed."""
