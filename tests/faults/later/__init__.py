"""An app with one migration that a later release might bring: a column for a table that is in use."""
