"""Who must agree, and the gate. Knows digests, never a change."""
