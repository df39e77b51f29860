"""Argo Workflows: a workflow from a template, through the API of its server. Its name is made of the key, so
Kubernetes itself refuses a second one."""

import re
from hashlib import sha256
from typing import Any, ClassVar

from orchestration.actions import web
from orchestration.actions.base import SECRET, Context, Effect
from orchestration.actions.trigger.far import NotThere, segment
from orchestration.actions.trigger.orchestrator import (
    URL,
    VALUES,
    Handle,
    Look,
    Orchestrator,
    State,
    named,
    text,
)

PHASES: dict[str, State] = {
    "": "waiting",
    "Pending": "waiting",
    "Running": "running",
    "Succeeded": "succeeded",
    "Failed": "failed",
    "Error": "failed",
}
KUBERNETES = "^(?![.-])[a-z0-9.-]{1,253}(?<![.-])$(?!\\n)"


class Argo(Orchestrator):
    name = "argo"
    title = "Argo Workflows"
    effect: ClassVar[Effect] = "idempotent"
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["url", "namespace", "template", "token"],
        "properties": {
            "url": URL,
            "namespace": named("of the workflow", KUBERNETES),
            "template": named("its name", KUBERNETES),
            "kind": {
                "enum": ["WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow"],
                "description": "`WorkflowTemplate` unless given",
            },
            "entrypoint": named("where it begins, if not where the template says"),
            "parameters": VALUES,
            "token": SECRET,
        },
    }

    @property
    def _workflows(self) -> str:
        return f"/api/v1/workflows/{segment(self.given['namespace'])}"

    def headers(self, context: Context) -> dict[str, str]:
        return web.bearer(self.given["token"], context)

    def find(self, key: str) -> Handle | None:
        handle = self._handle(key)
        try:
            self.far.read(f"{self._workflows}/{segment(handle.id)}")
        except NotThere:
            return None
        return handle

    def start(self, key: str) -> Handle:
        handle = self._handle(key)
        parameters = [f"{name}={text(value)}" for name, value in self.given.get("parameters", {}).items()]
        options: dict[str, Any] = {"name": handle.id, "parameters": parameters}
        options |= {"entryPoint": self.given["entrypoint"]} if "entrypoint" in self.given else {}
        body = {
            "namespace": self.given["namespace"],
            "resourceKind": self.given.get("kind", "WorkflowTemplate"),
            "resourceName": self.given["template"],
            "submitOptions": options,
        }
        self.far.write("POST", f"{self._workflows}/submit", body=body, accept=(200, 409))  # 409: it is there
        return handle

    def look(self, handle: Handle) -> Look:
        workflow = self.far.read(f"{self._workflows}/{segment(handle.id)}")
        phase = (workflow.get("status") or {}).get("phase") or ""
        if phase not in PHASES:
            raise web.NotUnderstood(f"Argo says {phase!r}, which is not known here.")
        if PHASES[phase] == "failed" and (workflow.get("spec") or {}).get("shutdown"):
            return Look("cancelled", "stopped", handle)
        return Look(PHASES[phase], phase or "submitted", handle)

    def cancel(self, handle: Handle) -> None:
        """Stop, not terminate: what the workflow does when it ends is still done."""
        body = {"namespace": self.given["namespace"], "name": handle.id}
        self.far.write("PUT", f"{self._workflows}/{segment(handle.id)}/stop", body=body, accept=(200, 404))

    def _handle(self, key: str) -> Handle:
        name = key if re.fullmatch("[a-z0-9-]{1,50}[a-z0-9]", key) else sha256(key.encode()).hexdigest()[:40]
        return Handle(
            f"cs-{name}",
            f"{self.far.base}/workflows/{segment(self.given['namespace'])}/cs-{name}",
        )
