"""`wait`: lets time pass, and says so. Stops at once when the run is stopped."""

from typing import Any, ClassVar

from orchestration.actions.base import Context, Effect, InProcessAction, Result

SAY_SECONDS = 5


class Wait(InProcessAction):
    name = "wait"
    summary = "Waits for a number of seconds."
    effect: ClassVar[Effect] = "read_only"
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["seconds"],
        "properties": {"seconds": {"type": "integer", "minimum": 0, "maximum": 3600}},
    }

    def run(self, context: Context) -> Result:
        left = int(context.with_["seconds"])
        while left > 0:
            context.say(f"{left} s left")
            context.pause(min(left, SAY_SECONDS))
            left -= SAY_SECONDS
        return Result(succeeded=True)
