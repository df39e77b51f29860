"""GitLab CI: a pipeline, started through the API (v4).

The key goes along as a variable, which can be read back. A project that takes no variables takes it as an input that
its `workflow:name` shows.
"""

from typing import Any, ClassVar

from orchestration.actions import web
from orchestration.actions.base import SECRET, Context
from orchestration.actions.trigger.far import segment
from orchestration.actions.trigger.orchestrator import (
    URL,
    VALUES,
    Handle,
    Look,
    Orchestrator,
    State,
    named,
    shown,
    text,
)

STATES: dict[str, State] = {
    "created": "waiting",
    "waiting_for_resource": "waiting",
    "waiting_for_callback": "waiting",
    "preparing": "waiting",
    "pending": "waiting",
    "scheduled": "waiting",
    "manual": "waiting",  # for a person
    "running": "running",
    "canceling": "running",
    "success": "succeeded",
    "failed": "failed",
    "skipped": "failed",  # nothing ran
    "canceled": "cancelled",
}
VARIABLE = "IDEMPOTENCY_KEY"
NEWEST = 50  # pipelines among which ours is looked for


class GitLab(Orchestrator):
    name = "gitlab"
    title = "GitLab CI"
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["url", "project", "ref", "token"],
        "properties": {
            "url": URL,
            "project": named(
                "its path or its number",
                "^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_.][A-Za-z0-9_.-]*)*$(?!\\n)",
            ),
            "ref": named("a branch or a tag", "^[A-Za-z0-9_][A-Za-z0-9_./-]*$(?!\\n)"),
            "variables": VALUES,
            "inputs": VALUES,
            "key_input": named(
                "an input that its `workflow:name` shows, for a project that takes no variables: it gets the step's key"
            ),
            "token": SECRET,
        },
    }

    @property
    def _project(self) -> str:
        return f"/api/v4/projects/{segment(self.given['project'])}"

    def headers(self, context: Context) -> dict[str, str]:
        return {"PRIVATE-TOKEN": web.fit(self.given["token"], context)}

    def find(self, key: str) -> Handle | None:
        query = {
            "source": "api",
            "order_by": "id",
            "sort": "desc",
            "per_page": NEWEST,
            "ref": self.given["ref"],
        }
        for one in self.far.read(f"{self._project}/pipelines", query=query):
            if self._is_ours(one, key):
                return self._handle(one)
        return None

    def _is_ours(self, pipeline: Any, key: str) -> bool:
        if "key_input" in self.given:
            return key in str(pipeline.get("name") or "")
        variables = self.far.read(f"{self._project}/pipelines/{segment(pipeline['id'])}/variables")
        return any(one["key"] == VARIABLE and one["value"] == key for one in variables)

    def start(self, key: str) -> Handle:
        variables = [
            {"key": name, "value": text(value)} for name, value in self.given.get("variables", {}).items()
        ]
        inputs = dict(self.given.get("inputs", {}))
        if "key_input" in self.given:
            inputs[self.given["key_input"]] = key
        else:
            variables.append({"key": VARIABLE, "value": key})
        body: dict[str, Any] = {"ref": self.given["ref"]}
        body |= {"variables": variables} if variables else {}
        body |= {"inputs": inputs} if inputs else {}
        return self._handle(
            self.far.write("POST", f"{self._project}/pipeline", body=body, accept=(201,)).json()
        )

    def look(self, handle: Handle) -> Look:
        word = self.far.read(f"{self._project}/pipelines/{segment(handle.id)}")["status"]
        if word not in STATES:
            raise web.NotUnderstood(f"GitLab says {word!r}, which is not known here.")
        return Look(STATES[word], word, handle)

    def cancel(self, handle: Handle) -> None:
        self.far.write("POST", f"{self._project}/pipelines/{segment(handle.id)}/cancel", accept=(200, 201))

    def _handle(self, pipeline: Any) -> Handle:
        number = int(pipeline["id"])
        return Handle(
            str(number), shown(pipeline.get("web_url"), f"pipeline {number} of {self.given['project']}")
        )
