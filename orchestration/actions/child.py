"""The step's own process of a `ChildAction`: finds the action, runs it once, leaves outputs and a reason.

`python -I child.py FOLDER MODULE CLASS`, with what it is given in $STEP_WITH. Knows no product and no database.
"""

import importlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType

if (
    __name__ == "__main__"
):  # an isolated interpreter: it must find this package, and nothing else of the machine's
    sys.path.insert(0, str(Path(__file__).parents[2]))

from orchestration.actions.base import NOWHERE, Cancelled, ChildAction, Context, Failed, Result


def main(folder: str, module: str, name: str) -> int:
    """0 when it succeeded; when not, 1 or the exit code of what ran far away, with the reason in $STEP_REASON."""
    if folder not in sys.path:
        sys.path.append(folder)  # where a plug-in was found; last, so that it hides nothing
    action = getattr(importlib.import_module(module), name)()
    result = _run(action, _context())
    _leave("STEP_OUTPUTS", json.dumps(dict(result.outputs)))
    if not result.succeeded:
        _leave("STEP_REASON", result.reason)
    return 0 if result.succeeded else result.exit_code or 1


def _run(action: ChildAction, context: Context) -> Result:
    try:
        return action.run(context)
    except Cancelled:
        return Result(succeeded=False, reason="It was ended.")
    except Failed as error:
        return Result(succeeded=False, reason=str(error))
    except Exception as error:  # noqa: BLE001 - whatever a library raises: the step failed, in words
        return Result(succeeded=False, reason=f"{type(error).__name__}: {error}"[:2000])


def _context() -> Context:
    cancelled = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        cancelled.set()

    signal.signal(signal.SIGTERM, stop)
    return Context(
        with_=json.loads(Path(os.environ["STEP_WITH"]).read_text()),
        idempotency_key=os.environ["IDEMPOTENCY_KEY"],
        fence=os.environ["STEP_FENCE"],
        cancelled=cancelled,
        deadline=time.monotonic() + float(os.environ["STEP_TIMEOUT_SECONDS"]),
        say=lambda line: print(line, flush=True),  # its output is the log of the step
        phase=os.environ["STEP_PHASE"],
        artifacts=Path(os.environ.get("STEP_ARTIFACTS", NOWHERE)),
        plans=Path(os.environ.get("STEP_PLANS", NOWHERE)),
        secrets=Path(os.environ["STEP_SECRETS"]) if "STEP_SECRETS" in os.environ else None,
    )


def _leave(name: str, text: str) -> None:
    Path(os.environ[name]).write_text(text)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
