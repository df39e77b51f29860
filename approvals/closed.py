"""What the gate says when it stays shut. Each reason is a class of its own, beside the code that finds it."""

from typing import ClassVar

from audit.refusals import Refusal


class GateClosed(Refusal):
    """This step may not start now; each reason has its class, and `waits` says whether time alone may open the gate."""

    code: ClassVar[str] = "gate_closed"
    waits: ClassVar[bool] = False
