"""Airflow 3: a run of a DAG (REST API v2). Its `dag_run_id` is the key, so Airflow itself refuses a second one."""

import time
from collections.abc import Mapping
from typing import Any, ClassVar

from orchestration.actions import web
from orchestration.actions.base import SECRET, Context, Effect, Failed
from orchestration.actions.trigger.far import NotThere, segment
from orchestration.actions.trigger.orchestrator import URL, VALUES, Handle, Look, Orchestrator, State, named

STATES: dict[str, State] = {
    "queued": "waiting",
    "running": "running",
    "success": "succeeded",
    "failed": "failed",
}
ENTRY_SECONDS = 600.0  # after which a token that was given for a password is asked for anew


class Airflow(Orchestrator):
    name = "airflow"
    title = "Airflow"
    effect: ClassVar[Effect] = "idempotent"
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["url", "dag"],
        "oneOf": [{"required": ["token"]}, {"required": ["user", "password"]}],
        "dependentRequired": {"user": ["password"], "password": ["user"]},
        "properties": {
            "url": URL,
            "dag": named("the DAG's id"),
            "conf": VALUES,
            "token": SECRET,
            "user": named("who asks for a token", "^[^\\x00-\\x1f]{1,200}$(?!\\n)"),
            "password": SECRET,
        },
    }

    def __init__(self, given: Mapping[str, Any], context: Context) -> None:
        super().__init__(given, context)
        self._enter_again_at = 0.0

    @property
    def _dag(self) -> str:
        return f"/api/v2/dags/{segment(self.given['dag'])}"

    def headers(self, context: Context) -> dict[str, str]:
        return web.bearer(self.given["token"], context) if "token" in self.given else {}

    def _enter(self) -> None:
        """A token for a name and a password, which is good for a while."""
        if "token" in self.given or time.monotonic() < self._enter_again_at:
            return
        word = web.secret(self.given["password"], self.far.context)
        body = {"username": self.given["user"], "password": word}
        answer = self.far.write("POST", "/auth/token", body=body, accept=(200, 201, 401))
        if answer.status == 401:
            raise Failed(f"Airflow does not let {self.given['user']} in; nothing was started.")
        self.far.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        self._enter_again_at = time.monotonic() + ENTRY_SECONDS

    def find(self, key: str) -> Handle | None:
        self._enter()
        try:
            self.far.read(f"{self._dag}/dagRuns/{segment(key)}")
        except NotThere:
            return None
        return self._handle(key)

    def start(self, key: str) -> Handle:
        self._enter()
        if self.far.read(self._dag).get("is_paused"):
            raise Failed(
                f"The DAG {self.given['dag']} is paused, so a run would wait for ever. Nothing was started."
            )
        body = {"dag_run_id": key, "logical_date": None, "conf": dict(self.given.get("conf", {}))}
        self.far.write("POST", f"{self._dag}/dagRuns", body=body, accept=(200, 201, 409))  # 409: it is there
        return self._handle(key)

    def look(self, handle: Handle) -> Look:
        self._enter()
        word = self.far.read(f"{self._dag}/dagRuns/{segment(handle.id)}")["state"]
        if word not in STATES:
            raise web.NotUnderstood(f"Airflow says {word!r}, which is not known here.")
        return Look(STATES[word], word, handle)

    def cancel(self, handle: Handle) -> None:
        """Airflow has no word for it: a run is marked as failed, which ends its tasks."""
        self._enter()
        if self.look(handle).state in {"waiting", "running"}:
            path = f"{self._dag}/dagRuns/{segment(handle.id)}"
            self.far.write(
                "PATCH", path, query={"update_mask": "state"}, body={"state": "failed"}, accept=(200,)
            )

    def _handle(self, key: str) -> Handle:
        return Handle(key, f"{self.far.base}/dags/{segment(self.given['dag'])}/runs/{segment(key)}")
