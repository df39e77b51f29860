"""Pages about policy: what the rules say, in words and in source."""
