"""Policy as code: ask the active bundle, get a closed answer, or a refusal."""

from approvals.policy.decisions import decide, preview

__all__ = ["decide", "preview"]
