"""GitHub Actions: a `workflow_dispatch`, its run, and its cancellation (REST API, version 2022-11-28).

GitHub tells the run that it started where it knows `return_run_details`. To find a run again, the key goes in as an
input, and the workflow shows that input in its `run-name`: a run's inputs cannot be read, its title can.
"""

from typing import Any, ClassVar

from orchestration.actions import web
from orchestration.actions.base import SECRET, Context, Failed
from orchestration.actions.trigger.far import Doubtful, segment
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

STATUSES: dict[str, State] = {
    "requested": "waiting",
    "queued": "waiting",
    "pending": "waiting",
    "waiting": "waiting",  # for a person, by a rule of an environment
    "in_progress": "running",
}
CONCLUSIONS: dict[str, State] = {
    "success": "succeeded",
    "failure": "failed",
    "timed_out": "failed",
    "startup_failure": "failed",
    "action_required": "failed",
    "stale": "failed",
    "neutral": "failed",  # nothing says that it worked
    "skipped": "failed",
    "cancelled": "cancelled",
}
PAGES, PER_PAGE = 3, 100  # of the newest runs, among which ours is looked for


class GitHub(Orchestrator):
    name = "github"
    title = "GitHub Actions"
    url = "https://api.github.com"
    found_by = "key_input"
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["repository", "workflow", "ref", "token"],
        "properties": {
            "url": {**URL, "description": "of its API; `https://api.github.com` unless given"},
            "repository": named(
                "owner/name", "^[A-Za-z0-9_][A-Za-z0-9_.-]*/[A-Za-z0-9_.][A-Za-z0-9_.-]*$(?!\\n)"
            ),
            "workflow": named("its file's name, or its number"),
            "ref": named("a branch or a tag", "^[A-Za-z0-9_][A-Za-z0-9_./-]*$(?!\\n)"),
            "inputs": {**VALUES, "maxProperties": 24},
            "key_input": named(
                "an input of it that its `run-name` shows: it gets the step's key, by which the run is found again"
            ),
            "token": SECRET,
        },
    }

    @property
    def _repository(self) -> str:
        owner, _, name = self.given["repository"].partition("/")
        return f"/repos/{segment(owner)}/{segment(name)}/actions"

    @property
    def _workflow(self) -> str:
        return f"{self._repository}/workflows/{segment(self.given['workflow'])}"

    def headers(self, context: Context) -> dict[str, str]:
        return {
            **web.bearer(self.given["token"], context),
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        }

    def find(self, key: str) -> Handle | None:
        for page in range(1, PAGES + 1):
            query = {"event": "workflow_dispatch", "per_page": PER_PAGE, "page": page}
            runs = self.far.read(f"{self._workflow}/runs", query=query)["workflow_runs"]
            for run in runs:
                if key in str(run.get("display_title") or ""):
                    return self._handle(run["id"], run.get("html_url"))
            if len(runs) < PER_PAGE:
                return None
        return None

    def start(self, key: str) -> Handle:
        inputs = {name: text(value) for name, value in self.given.get("inputs", {}).items()}
        if self.finds(self.given):
            inputs[self.given["key_input"]] = key
        body = {"ref": self.given["ref"], "inputs": inputs, "return_run_details": True}
        answer = self.far.write("POST", f"{self._workflow}/dispatches", body=body, accept=(200, 204, 422))
        if answer.status == 422 and "return_run_details" in answer.text:  # an older GitHub of one's own
            del body["return_run_details"]
            answer = self.far.write("POST", f"{self._workflow}/dispatches", body=body, accept=(204,))
        if answer.status == 422:
            raise Failed(f"GitHub refuses it: {answer.text[:500]}")
        if answer.status == 204:
            raise Doubtful("GitHub started it and did not say which run it is.")
        told = answer.json()
        return self._handle(told["workflow_run_id"], told.get("html_url"))

    def look(self, handle: Handle) -> Look:
        run = self.far.read(f"{self._repository}/runs/{segment(handle.id)}")
        status, conclusion = run["status"], run.get("conclusion")
        word = conclusion if status == "completed" else status
        state = (CONCLUSIONS if status == "completed" else STATUSES).get(word)
        if state is None:
            raise web.NotUnderstood(f"GitHub says {word!r}, which is not known here.")
        return Look(state, word, handle)

    def cancel(self, handle: Handle) -> None:
        self.far.write("POST", f"{self._repository}/runs/{segment(handle.id)}/cancel", accept=(202, 409))

    def _handle(self, number: Any, link: Any) -> Handle:
        return Handle(str(int(number)), shown(link, f"run {int(number)} of {self.given['repository']}"))
