"""An action that a test's step runs in a process of its own. It imports nothing but what an action may."""

import os
from typing import Any, ClassVar

from orchestration.actions.base import ChildAction, Context, Result


class Probe(ChildAction):
    name = "probe"
    summary = "Says what its process sees, waits, fails, or raises, as it is told."
    plans = True
    inherits = ("COUNTERSIGN_HTTP_ALLOWED_HOSTS",)
    schema: ClassVar[dict[str, Any]] = {"type": "object"}

    def run(self, context: Context) -> Result:
        told = context.with_
        context.say(" ".join(sorted(os.environ)))
        if told.get("raises"):
            raise OSError("no such place")
        context.pause(told.get("seconds", 0))
        outputs: dict[str, str | int] = {"pid": os.getpid(), "key": context.idempotency_key}
        outputs["fence"] = context.fence
        outputs["phase"] = context.phase
        if told.get("leaves"):
            (context.artifacts / "found").write_text(told["leaves"])
        if told.get("secret"):
            value = context.secret(told["secret"])
            outputs |= {"read": value, "length": len(value)}
        if told.get("reads"):
            outputs["read"] = (context.plans / told["reads"]).read_text()
        return Result(succeeded=not told.get("fails"), reason=told.get("fails", ""), outputs=outputs)
