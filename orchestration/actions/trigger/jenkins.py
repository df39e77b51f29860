"""Jenkins: a parametrised build, which is an entry of the queue before it has a number.

The job declares a parameter for the key: Jenkins drops what a job does not declare, and then no build is found again.
"""

from typing import Any, ClassVar

from orchestration.actions import web
from orchestration.actions.base import SECRET, Context
from orchestration.actions.trigger.far import Doubtful, NotThere, segment
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

RESULTS: dict[str, State] = {
    "SUCCESS": "succeeded",
    "UNSTABLE": "failed",
    "FAILURE": "failed",
    "NOT_BUILT": "failed",
    "ABORTED": "cancelled",
}
NEWEST = 100  # builds among which ours is looked for
PARAMETERS = "actions[parameters[name,value]]"


class Jenkins(Orchestrator):
    name = "jenkins"
    title = "Jenkins"
    found_by = "key_parameter"
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["url", "job", "user", "token"],
        "properties": {
            "url": URL,
            "job": named(
                "its name, behind those of its folders: team/app",
                "^[^/.\\s-][^/\\s]*(/[^/.\\s-][^/\\s]*)*$(?!\\n)",
            ),
            "parameters": VALUES,
            "key_parameter": named("a parameter that the job declares: it gets the step's key"),
            "user": named("whose token it is", "^[^:\\x00-\\x1f]{1,200}$(?!\\n)"),
            "token": SECRET,
        },
    }

    @property
    def _job(self) -> str:
        return "".join(f"/job/{segment(part)}" for part in self.given["job"].split("/"))

    def headers(self, context: Context) -> dict[str, str]:
        return web.basic(self.given["user"], self.given["token"], context)

    def find(self, key: str) -> Handle | None:
        queue = self.far.read("/queue/api/json", query={"tree": f"items[id,{PARAMETERS}]"})
        for item in queue["items"]:
            if self._is_ours(item, key):
                return self._queued(int(item["id"]))
        tree = f"builds[number,{PARAMETERS}]{{0,{NEWEST}}}"
        for build in self.far.read(f"{self._job}/api/json", query={"tree": tree})["builds"]:
            if self._is_ours(build, key):
                return self._built(int(build["number"]))
        return None

    def _is_ours(self, item: Any, key: str) -> bool:
        parameters = [
            one for action in item.get("actions", ()) for one in (action or {}).get("parameters", ())
        ]
        return any(
            one["name"] == self.given["key_parameter"] and one.get("value") == key for one in parameters
        )

    def start(self, key: str) -> Handle:
        form = {name: text(value) for name, value in self.given.get("parameters", {}).items()}
        if self.finds(self.given):
            form[self.given["key_parameter"]] = key
        way = "buildWithParameters" if form else "build"
        self._take_crumb()
        answer = self.far.write("POST", f"{self._job}/{way}", form=form, accept=(201,))
        number = answer.headers.get("location", "").rstrip("/").rpartition("/")[2]
        if not number.isdigit():
            raise Doubtful("Jenkins took it and did not say where in its queue it is.")
        return self._queued(int(number))

    def _take_crumb(self) -> None:
        """Its guard against forged requests: a header, good for one session. It may be switched off."""
        try:
            answer = self.far.get("/crumbIssuer/api/json")
        except NotThere:
            return
        told = answer.json()
        self.far.headers[str(told["crumbRequestField"])] = str(told["crumb"])
        if cookie := answer.headers.get("set-cookie", "").partition(";")[0]:
            self.far.headers["Cookie"] = cookie

    def look(self, handle: Handle) -> Look:
        return self._look_at_queue(handle) if handle.queued else self._look_at_build(handle)

    def _look_at_queue(self, handle: Handle) -> Look:
        try:
            item = self.far.read(f"/queue/item/{segment(handle.id)}/api/json")
        except NotThere:  # it forgets an entry five minutes after it has left the queue
            found = self.find(self.far.context.idempotency_key) if self.finds(self.given) else None
            if found is None:
                raise
            return self.look(found)
        if item.get("cancelled"):
            return Look("cancelled", "cancelled in the queue", handle)
        if item.get("executable"):
            return self._look_at_build(self._built(int(item["executable"]["number"])))
        return Look("waiting", "queued", handle)

    def _look_at_build(self, handle: Handle) -> Look:
        build = self.far.read(f"{self._job}/{segment(handle.id)}/api/json", query={"tree": "building,result"})
        word = build.get("result")
        if build.get("building") or word is None:
            return Look("running", "building", handle)
        if word not in RESULTS:
            raise web.NotUnderstood(f"Jenkins says {word!r}, which is not known here.")
        return Look(RESULTS[word], word, handle)

    def cancel(self, handle: Handle) -> None:
        now = self.look(handle).handle  # it may have left the queue since
        self._take_crumb()
        if now.queued:
            self.far.write("POST", "/queue/cancelItem", form={"id": now.id}, accept=(200, 204, 302))
        else:
            self.far.write("POST", f"{self._job}/{segment(now.id)}/stop", form={}, accept=(200, 302))

    def _queued(self, number: int) -> Handle:
        return Handle(str(number), f"{self.far.base}/queue/item/{number}/", queued=True)

    def _built(self, number: int) -> Handle:
        return Handle(str(number), f"{self.far.base}{self._job}/{number}/")
