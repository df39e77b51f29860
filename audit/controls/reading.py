"""Reads entries for control tests: only what they ask about is kept, and equal texts once. There may be millions."""

import json
from typing import Any

from audit.controls.log import Line
from audit.controls.told import Told

DECODE = json.JSONDecoder().raw_decode
MEMO = 50_000  # texts; an equal one usually comes soon
RUN = ("run", "change", "digest", "permit", "environment", "plan")
REQUEST = (
    "change", "digest", "workflow_digest", "service", "environment", "environment_tier", "requester_person",
    "conflicted", "policy_decision", "chain", "incident", "rolls_back", "artifacts",
)  # fmt: skip
# Of the kinds that every change has, what is kept of their data; of all others everything is.
KEPT: dict[str, tuple[str, ...]] = {
    "change.requested": REQUEST,
    "change.revised": REQUEST,
    "change.start_asked": ("change",),
    "chain.opened": ("chain", "digest", "stages", "conflicted", "decision", "bundle"),
    "sign_off.given": (
        "chain", "chain_digest", "stage", "stage_name", "digest", "decision", "person", "owner", "delegation",
        "passkey", "persona_switched", "auth",
    ),
    "permit.issued": ("permit", "digest", "chain", "sign_offs", "checkpoint_size", "purpose"),
    "policy.decided": ("decision", "bundle", "denied"),
    "run.running": RUN,
    "run.succeeded": RUN,
    "step.succeeded": ("run", "decision", "phase"),
    "session.started": ("session", "expires_at"),
    "session.ended": ("session",),
    "token.created": ("account", "expires_at"),
    "token.revoked": ("account",),
    "evidence.attached": ("change", "digest", "evidence_kind", "evidence_digest"),
}  # fmt: skip
CHANGE = ("change",)
# What nothing asks about, though others of their family are.
UNTOLD = {f"change.{state}" for state in ("drafted", "edited", "draft", "commented")}
UNTOLD |= {
    "session.confirmed",
    "session.refused",
    "chain.completed",
    "chain.reopened",
    "chain.void",
    "chain.rejected",
    "run.created",
    "run.unknown",
}
STREAMS = ("sign_off.", "account.", "team.", "delegation.", "token.")  # kinds of which the row is asked for


class Reader:
    """Reads lines, one after the other."""

    def __init__(self) -> None:
        self._memo: dict[Any, Any] = {}

    def read(self, index: int, kind: str, line: Line) -> Told:
        """The entry; ValueError where its data or its subject is no JSON."""
        data, _ = DECODE(line.data.decode())
        if "passkey" in data and kind.startswith("sign_off."):
            data["passkey"] = True  # that there is one; whether it holds is the verifier's business
        if kind == "sign_off.given":
            data["auth"] = line.auth.decode()
        subject, _ = DECODE(line.subject.decode())
        stream = line.stream.decode() if kind.startswith(STREAMS) else ""
        actor = self._once(line.actor.decode())
        return Told(
            index, line.time.decode(), kind, stream, self._once(subject), actor, self._kept(kind, data)
        )

    def _kept(self, kind: str, data: dict[str, Any]) -> dict[str, Any]:
        once, names = self._once, KEPT.get(kind)
        if names is None:
            names = CHANGE if kind.startswith("change.") else tuple(data)
        return {name: once(data[name]) for name in names if name in data}

    def _once(self, value: Any) -> Any:
        """The first of equal texts, and of equal lists: stages of a chain are mostly those of the one before."""
        if isinstance(value, str):
            key: Any = value
        elif isinstance(value, list):
            key = (repr(value),)
        else:
            return value
        if len(self._memo) > MEMO:
            self._memo.clear()
        return self._memo.setdefault(key, value)
