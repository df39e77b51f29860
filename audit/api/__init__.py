"""The log for machines. Reads only."""
