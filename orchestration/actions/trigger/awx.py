"""AWX, and the Ansible Automation Platform: a job from a job template (API v2).

The key goes along as one of the extra variables, which are read back from the newest jobs of the template: AWX does
not filter by them.
"""

import json
from typing import Any, ClassVar

from orchestration.actions import web
from orchestration.actions.base import SECRET, Context, Failed
from orchestration.actions.trigger.far import segment
from orchestration.actions.trigger.orchestrator import URL, VALUES, Handle, Look, Orchestrator, State

STATES: dict[str, State] = {
    "new": "waiting",
    "pending": "waiting",
    "waiting": "waiting",
    "running": "running",
    "successful": "succeeded",
    "failed": "failed",
    "error": "failed",
    "canceled": "cancelled",
}
VARIABLE = "idempotency_key"
NEWEST = 100  # jobs among which ours is looked for


class Awx(Orchestrator):
    name = "awx"
    title = "AWX"
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["url", "job_template", "token"],
        "properties": {
            "url": URL,
            "job_template": {
                "type": "integer",
                "minimum": 1,
                "description": "its number; it has to ask for variables at launch",
            },
            "extra_vars": VALUES,
            "limit": {
                "type": "string",
                "maxLength": 1000,
                "pattern": "^[^-\\x00-\\x1f][^\\x00-\\x1f]*$(?!\\n)",
            },
            "token": SECRET,
        },
    }

    @property
    def _template(self) -> str:
        return f"/api/v2/job_templates/{segment(self.given['job_template'])}"

    def headers(self, context: Context) -> dict[str, str]:
        return web.bearer(self.given["token"], context)

    def find(self, key: str) -> Handle | None:
        query = {"unified_job_template": self.given["job_template"], "order_by": "-id", "page_size": NEWEST}
        for job in self.far.read("/api/v2/jobs/", query=query)["results"]:
            if _key_of(job) == key:
                return self._handle(job["id"])
        return None

    def start(self, key: str) -> Handle:
        """Asked first, because AWX drops what it does not ask for and starts all the same."""
        asks = self.far.read(f"{self._template}/launch/")
        if not asks.get("ask_variables_on_launch"):
            raise Failed(
                "The job template does not ask for variables at launch, so it would drop ours. Nothing was started."
            )
        if "limit" in self.given and not asks.get("ask_limit_on_launch"):
            raise Failed(
                "The job template does not ask for a limit at launch, so it would drop ours. Nothing was started."
            )
        body: dict[str, Any] = {"extra_vars": {**self.given.get("extra_vars", {}), VARIABLE: key}}
        body |= {"limit": self.given["limit"]} if "limit" in self.given else {}
        job = self.far.write("POST", f"{self._template}/launch/", body=body, accept=(201,)).json()
        handle = self._handle(job["id"])
        if job.get("ignored_fields"):
            self.cancel(handle)
            raise Failed(
                f"AWX ignored {', '.join(sorted(job['ignored_fields']))}, so the job was cancelled: {handle.link}"
            )
        return handle

    def look(self, handle: Handle) -> Look:
        word = self.far.read(f"/api/v2/jobs/{segment(handle.id)}/")["status"]
        if word not in STATES:
            raise web.NotUnderstood(f"AWX says {word!r}, which is not known here.")
        return Look(STATES[word], word, handle)

    def cancel(self, handle: Handle) -> None:
        self.far.write(
            "POST", f"/api/v2/jobs/{segment(handle.id)}/cancel/", accept=(202, 405)
        )  # 405: it has ended

    def _handle(self, number: Any) -> Handle:
        return Handle(str(int(number)), f"{self.far.base}/#/jobs/playbook/{int(number)}/output")


def _key_of(job: Any) -> str | None:
    """Extra variables come as a text that holds JSON."""
    try:
        held = json.loads(job.get("extra_vars") or "{}")
    except ValueError:
        return None
    return held.get(VARIABLE) if isinstance(held, dict) else None
