"""One function for each control test: an item and the facts in, a result and its reason out. Pure."""
