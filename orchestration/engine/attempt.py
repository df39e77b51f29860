"""What is handed to the supervisor of a step and what comes back. Plain values; they decide nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from uuid import UUID

Files = Mapping[str, Mapping[str, bytes]]  # step -> name -> content


@dataclass(frozen=True)
class Attempt:
    """One try at one step, as it was signed off, and the lease under which it runs."""

    run_id: UUID
    step_id: UUID
    step_key: str
    number: int  # the fencing token
    boot_id: UUID
    idempotency_key: str  # the same over all attempts of the step
    uses: str
    with_: Mapping[str, Any]
    effect: str
    timeout_seconds: float
    lease_ttl_seconds: float
    grace_seconds: float
    files: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Sequence[Mapping[str, Any]] = ()  # sealed, or where they lie: what the step's opener is handed
    phase: str = "apply"
    plans: Files = field(default_factory=dict)  # by plan step: the bytes that were signed


@dataclass(frozen=True)
class Chunk:
    """A piece of output; `dropped` bytes were left out right before it."""

    seq: int
    stream: str
    data: bytes
    dropped: int = 0


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended. `unknown`: its effect may or may not have happened; `fenced`: it lost its lease;
    `unstarted`: what the step needs could not be had, and nothing of it was started."""

    state: Literal["succeeded", "failed", "timed_out", "cancelled", "fenced", "unknown", "unstarted"]
    exit_code: int | None = None
    reason: str = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    log_bytes: int = 0
    dropped_bytes: int = 0
    artifacts: Mapping[str, bytes] = field(default_factory=dict)  # what a plan step left, by name


class Control(Protocol):
    """How the holder of a lease speaks to the supervisor of the step, from another thread."""

    def alive(self) -> None:
        """The lease was renewed just now."""

    def cancel(self, reason: str) -> None:
        """End the step in good order: SIGTERM, grace, SIGKILL."""

    def fence(self) -> None:
        """The lease is lost: end the step at once and write nothing more."""
