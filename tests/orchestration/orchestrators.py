"""Six orchestrators on this machine, as their protocols say: paths, credentials, status codes, shapes, queues.

Each starts jobs that walk through the words of `script`, one at each look. `trouble` is what a test wants answered
instead; a request that the protocol does not know is a 404, one without its credential a 401.
"""

import base64
import json
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote

from tests.orchestration.far import Asked, Told

TOKEN = "s3cret-token"
Trouble = Callable[[Asked], Told | None]


class Orchestrator:
    """What all of them share: a script, the jobs that were started, those that were cancelled, and trouble."""

    name = ""
    looks: list[str] = []  # words from waiting to running
    done = ""
    words: dict[str, str] = {}  # each final word, and what it is to us
    server: Any = None

    def __init__(self) -> None:
        self.jobs: list[dict[str, Any]] = []
        self.cancelled: list[Any] = []
        self.script = [*self.looks, self.done]
        self.trouble: deque[Trouble] = deque()
        self.url = ""

    def with_(self, **more: Any) -> dict[str, Any]:
        return {self.name: {**self.given(), **more}}

    def given(self) -> dict[str, Any]:
        raise AssertionError

    def __call__(self, asked: Asked) -> Told:
        if self.trouble and (told := self.trouble[0](asked)) is not None:
            self.trouble.popleft()
            return told
        if not self.is_let_in(asked):
            return Told(401, {"message": "401 Unauthorized"})
        return self.answer(asked) or Told(404, {"message": "Not Found"})

    def is_let_in(self, asked: Asked) -> bool:
        return asked.headers.get("authorization") == f"Bearer {TOKEN}"

    def answer(self, asked: Asked) -> Told | None:
        raise AssertionError

    def took(self, **job: Any) -> dict[str, Any]:
        made = {"id": 1000 + len(self.jobs), "walk": deque(self.script), **job}
        self.jobs.append(made)
        return made

    def word(self, job: dict[str, Any]) -> str:
        """One look: the next word of the script, the last for ever."""
        return str(job["walk"].popleft() if len(job["walk"]) > 1 else job["walk"][0])

    def job(self, text: str) -> dict[str, Any] | None:
        return next((one for one in self.jobs if str(one["id"]) == text), None)


class GitHub(Orchestrator):
    name, done = "github", "success"
    looks = ["queued", "in_progress"]
    words = {"success": "succeeded", "failure": "failed", "timed_out": "failed", "startup_failure": "failed",
             "action_required": "failed", "stale": "failed",
             "neutral": "failed", "skipped": "failed", "cancelled": "cancelled"}  # fmt: skip
    tells_run = True
    root = "/repos/bank/app/actions"

    def given(self):
        return {"url": self.url, "repository": "bank/app", "workflow": "deploy.yml", "ref": "main", "token": "TOKEN",
                "inputs": {"version": "1.2.3", "dry": False}, "key_input": "countersign"}  # fmt: skip

    def answer(self, asked):
        if asked.headers.get("x-github-api-version") != "2022-11-28":
            return Told(400, {"message": "no version"})
        path = asked.path.removeprefix(self.root)
        if asked.method == "POST" and path == "/workflows/deploy.yml/dispatches":
            return self.dispatch(asked.json)
        if asked.method == "GET" and path == "/workflows/deploy.yml/runs":
            assert parse_qs(asked.query)["event"] == ["workflow_dispatch"]
            runs = [self.run(one, "queued", None) for one in reversed(self.jobs)]
            return Told(200, {"total_count": len(runs), "workflow_runs": runs})
        if asked.method == "GET" and path.startswith("/runs/") and (job := self.job(path[6:])):
            word = self.word(job)
            over = word not in {"queued", "in_progress", "waiting", "pending", "requested"}
            return Told(200, self.run(job, "completed" if over else word, word if over else None))
        if asked.method == "POST" and path.endswith("/cancel") and (job := self.job(path[6:-7])):
            self.cancelled.append(job["id"])
            return Told(202, {})
        return None

    def dispatch(self, body):
        extra = set(body["inputs"]) - {"version", "dry", "countersign"}
        if extra or not all(isinstance(one, str) for one in body["inputs"].values()):
            return Told(422, {"message": f"Unexpected inputs provided: {sorted(extra)}"})
        if not self.tells_run and "return_run_details" in body:
            return Told(422, {"message": 'Invalid request.\n\n"return_run_details" is not a permitted key.'})
        job = self.took(given=body["inputs"], title=f"Deploy {body['inputs'].get('countersign', '')}")
        if not body.get("return_run_details"):
            return Told(204)
        run = self.run(job, "queued", None)
        return Told(200, {"workflow_run_id": job["id"], "run_url": run["url"], "html_url": run["html_url"]})

    def run(self, job, status, conclusion):
        return {"id": job["id"], "display_title": job["title"], "status": status, "conclusion": conclusion,
                "event": "workflow_dispatch", "url": f"{self.url}{self.root}/runs/{job['id']}",
                "html_url": f"https://github.example/bank/app/actions/runs/{job['id']}"}  # fmt: skip


class GitLab(Orchestrator):
    name, done = "gitlab", "success"
    looks = ["created", "pending", "running"]
    words = {"success": "succeeded", "failed": "failed", "skipped": "failed", "canceled": "cancelled"}
    takes_variables = True
    root = "/api/v4/projects/bank%2Fapp"

    def given(self):
        return {
            "url": self.url,
            "project": "bank/app",
            "ref": "main",
            "token": "TOKEN",
            "variables": {"VERSION": "1.2.3"},
        }

    def is_let_in(self, asked):
        return asked.headers.get("private-token") == TOKEN

    def answer(self, asked):
        path = asked.path.removeprefix(self.root)
        if asked.method == "POST" and path == "/pipeline":
            if asked.json.get("variables") and not self.takes_variables:
                return Told(
                    400, {"message": {"base": ["Insufficient permissions to set pipeline variables"]}}
                )
            name = f"Deploy {asked.json.get('inputs', {}).get('key', '')}"
            new = self.took(variables=asked.json.get("variables", []), name=name)
            return Told(201, self.pipeline(new, "created"))
        if asked.method == "GET" and path == "/pipelines":
            assert parse_qs(asked.query)["source"] == ["api"]
            return Told(200, [self.pipeline(one, "running") for one in reversed(self.jobs)])
        parts = path.split("/")
        job = self.job(parts[2]) if len(parts) > 2 and parts[1] == "pipelines" else None
        if job and asked.method == "GET" and len(parts) == 3:
            return Told(200, self.pipeline(job, self.word(job)))
        if job and asked.method == "GET" and parts[3] == "variables":
            return Told(200, [{"variable_type": "env_var", **one} for one in job["variables"]])
        if job and asked.method == "POST" and parts[3] == "cancel":
            self.cancelled.append(job["id"])
            return Told(200, self.pipeline(job, "canceling"))
        return None

    def pipeline(self, job, status):
        return {"id": job["id"], "iid": 7, "status": status, "source": "api", "ref": "main", "name": job["name"],
                "web_url": f"https://gitlab.example/bank/app/-/pipelines/{job['id']}"}  # fmt: skip


class Jenkins(Orchestrator):
    name, done = "jenkins", "SUCCESS"
    looks = ["queue", "queue", "building"]
    words = {
        "SUCCESS": "succeeded",
        "UNSTABLE": "failed",
        "FAILURE": "failed",
        "NOT_BUILT": "failed",
        "ABORTED": "cancelled",
    }
    forgets_queue = False
    has_crumbs = True
    root = "/job/team/job/app"

    def given(self):
        return {"url": self.url, "job": "team/app", "user": "robot", "token": "TOKEN",
                "parameters": {"VERSION": "1.2.3"}, "key_parameter": "IDEMPOTENCY_KEY"}  # fmt: skip

    def is_let_in(self, asked):
        pair = base64.b64encode(f"robot:{TOKEN}".encode()).decode()
        return asked.headers.get("authorization") == f"Basic {pair}"

    def answer(self, asked):
        if asked.path == "/crumbIssuer/api/json":
            crumb = {
                "_class": "hudson.security.csrf.DefaultCrumbIssuer",
                "crumb": "c0ffee",
                "crumbRequestField": "Jenkins-Crumb",
            }
            return (
                Told(200, crumb, {"Set-Cookie": "JSESSIONID.1=abc; Path=/; HttpOnly"})
                if self.has_crumbs
                else None
            )
        shown = (asked.headers.get("jenkins-crumb"), asked.headers.get("cookie"))
        if asked.method == "POST" and self.has_crumbs and shown != ("c0ffee", "JSESSIONID.1=abc"):
            return Told(403, b"No valid crumb was included in the request")
        return self.build(asked) if asked.path.startswith(self.root) else self.queue(asked)

    def build(self, asked):
        path = asked.path.removeprefix(self.root)
        if asked.method == "POST" and path == "/buildWithParameters":
            given = {
                name: values[0]
                for name, values in parse_qs(asked.body.decode(), keep_blank_values=True).items()
            }
            declared = {name: given[name] for name in ("VERSION", "IDEMPOTENCY_KEY") if name in given}
            new = self.took(parameters=declared)
            new["number"] = new["id"] - 900
            return Told(201, b"", {"Location": f"{self.url}/queue/item/{new['id']}/"})
        if asked.method == "GET" and path == "/api/json":
            started = [one for one in self.jobs if one["walk"][0] != "queue"]
            return Told(
                200, {"builds": [{"number": one["number"], **self.actions(one)} for one in reversed(started)]}
            )
        number, _, rest = path.strip("/").partition("/")
        job = next((one for one in self.jobs if str(one["number"]) == number), None)
        if job and asked.method == "GET" and rest == "api/json":
            word = self.word(job)
            return Told(200, {"building": word == "building", "result": None if word == "building" else word})
        if job and asked.method == "POST" and rest == "stop":
            self.cancelled.append(job["id"])
            return Told(302, b"", {"Location": f"{self.url}{self.root}/{number}/"})
        return None

    def queue(self, asked):
        if asked.path == "/queue/api/json":
            waiting = [one for one in self.jobs if one["walk"][0] == "queue"]
            return Told(200, {"items": [{"id": one["id"], **self.actions(one)} for one in waiting]})
        if asked.method == "POST" and asked.path == "/queue/cancelItem":
            self.cancelled.append(int(parse_qs(asked.body.decode())["id"][0]))
            return Told(204)
        parts = asked.path.split("/")
        job = self.job(parts[3]) if asked.path.startswith("/queue/item/") else None
        if job is None or (self.forgets_queue and job["walk"][0] != "queue"):
            return None
        if job["walk"][0] == "gone":
            return Told(200, {"id": job["id"], "cancelled": True, "why": None})
        if job["walk"][0] == "queue":
            self.word(job)
            return Told(
                200, {"id": job["id"], "why": "In the quiet period. Expires in 3 sec", "cancelled": False}
            )
        url = f"https://jenkins.example{self.root}/{job['number']}/"
        return Told(200, {"id": job["id"], "executable": {"number": job["number"], "url": url}})

    def actions(self, job):
        values = [{"name": name, "value": value} for name, value in job["parameters"].items()]
        return {"actions": [{}, {"parameters": values}]}


class Awx(Orchestrator):
    name, done = "awx", "successful"
    looks = ["new", "pending", "waiting", "running"]
    words = {"successful": "succeeded", "failed": "failed", "error": "failed", "canceled": "cancelled"}
    asks_variables = True

    def given(self):
        return {
            "url": self.url,
            "job_template": 9,
            "extra_vars": {"version": "1.2.3", "count": 3},
            "token": "TOKEN",
        }

    def answer(self, asked):
        if asked.path == "/api/v2/job_templates/9/launch/":
            if asked.method == "GET":
                return Told(
                    200, {"ask_variables_on_launch": self.asks_variables, "ask_limit_on_launch": False}
                )
            extra = asked.json["extra_vars"] if self.asks_variables else {}
            new = self.took(extra_vars=json.dumps(extra))
            return Told(201, {**self.shown(new, "pending"), "job": new["id"], "ignored_fields": {}})
        if asked.method == "GET" and asked.path == "/api/v2/jobs/":
            query = parse_qs(asked.query)
            if "extra_vars__contains" in query:
                return Told(403, {"detail": "Filtering on extra_vars is not allowed."})
            assert (query["unified_job_template"], query["order_by"]) == (["9"], ["-id"])
            found = [self.shown(one, "running") for one in reversed(self.jobs)]
            return Told(200, {"count": len(found), "next": None, "previous": None, "results": found})
        parts = asked.path.split("/")
        job = self.job(parts[4]) if asked.path.startswith("/api/v2/jobs/") else None
        if job and asked.method == "GET" and len(parts) == 6:
            return Told(200, self.shown(job, self.word(job)))
        if job and asked.method == "POST" and parts[5] == "cancel":
            self.cancelled.append(job["id"])
            return Told(202)
        return None

    def shown(self, job, status):
        return {"id": job["id"], "type": "job", "status": status, "extra_vars": job["extra_vars"]}


class Airflow(Orchestrator):
    name, done = "airflow", "success"
    looks = ["queued", "running"]
    words = {"success": "succeeded", "failed": "failed"}
    paused = False
    root = "/api/v2/dags/deploy"

    def given(self):
        return {
            "url": self.url,
            "dag": "deploy",
            "conf": {"version": "1.2.3"},
            "user": "robot",
            "password": "TOKEN",
        }

    def is_let_in(self, asked):
        return asked.path == "/auth/token" or asked.headers.get("authorization") == "Bearer jwt"

    def answer(self, asked):
        if asked.method == "POST" and asked.path == "/auth/token":
            right = asked.json == {"username": "robot", "password": TOKEN}
            return (
                Told(201, {"access_token": "jwt"}) if right else Told(401, {"detail": "Invalid credentials"})
            )
        if asked.method == "GET" and asked.path == self.root:
            return Told(200, {"dag_id": "deploy", "is_paused": self.paused})
        if asked.method == "POST" and asked.path == f"{self.root}/dagRuns":
            if "logical_date" not in asked.json:
                return Told(422, {"detail": [{"type": "missing", "loc": ["body", "logical_date"]}]})
            if self.job(asked.json["dag_run_id"]):
                return Told(409, {"detail": {"reason": "Unique constraint violation"}})
            new = self.took(conf=asked.json["conf"])
            new["id"] = asked.json["dag_run_id"]
            return Told(200, {"dag_run_id": new["id"], "state": "queued", "conf": new["conf"]})
        job = self.job(unquote(asked.path.removeprefix(f"{self.root}/dagRuns/")))
        if job and asked.method == "GET":
            return Told(200, {"dag_run_id": job["id"], "state": self.word(job)})
        if job and asked.method == "PATCH" and asked.json == {"state": "failed"}:
            self.cancelled.append(job["id"])
            return Told(200, {"dag_run_id": job["id"], "state": "failed"})
        return None


class Argo(Orchestrator):
    name, done = "argo", "Succeeded"
    looks = ["", "Pending", "Running"]
    words = {"Succeeded": "succeeded", "Failed": "failed", "Error": "failed", "shutdown": "cancelled"}
    root = "/api/v1/workflows/jobs"

    def given(self):
        return {
            "url": self.url,
            "namespace": "jobs",
            "template": "deploy",
            "parameters": {"version": "1.2.3"},
            "token": "TOKEN",
        }

    def answer(self, asked):
        if asked.method == "POST" and asked.path == f"{self.root}/submit":
            options = asked.json["submitOptions"]
            if (asked.json["resourceKind"], asked.json["resourceName"]) != ("WorkflowTemplate", "deploy"):
                return Told(404, {"code": 5, "message": "workflowtemplates.argoproj.io not found"})
            if self.job(options["name"]):
                return Told(
                    409, {"code": 6, "message": f'workflows.argoproj.io "{options["name"]}" already exists'}
                )
            new = self.took(parameters=options["parameters"])
            new["id"] = options["name"]
            return Told(200, self.shown(new, ""))
        name, _, rest = asked.path.removeprefix(f"{self.root}/").partition("/")
        job = self.job(name)
        if job and asked.method == "GET" and not rest:
            return Told(200, self.shown(job, self.word(job)))
        if job and asked.method == "PUT" and rest == "stop":
            self.cancelled.append(job["id"])
            return Told(200, self.shown(job, "Running"))
        return None

    def shown(self, job, phase):
        stopped = {"shutdown": "Stop"} if phase == "shutdown" else {}
        phase = "Failed" if stopped else phase
        return {
            "metadata": {"name": job["id"], "namespace": "jobs"},
            "spec": stopped,
            "status": {"phase": phase} if phase else {},
        }


ALL = {kind.name: kind for kind in (GitHub, GitLab, Jenkins, Awx, Airflow, Argo)}
