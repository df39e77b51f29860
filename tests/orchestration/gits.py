"""A real Git server for one test: `git http-backend` behind HTTP, with a password, and a look at what it holds."""

import base64
import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

from tests.orchestration.far import Asked, Told, far

GIT = shutil.which("git")
CREDENTIAL = "Basic " + base64.b64encode(b"robot:s3cret-word").decode()
ENV = {
    "PATH": os.environ["PATH"], "HOME": "/nowhere", "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@bank.example", "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@bank.example",
    "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
}  # fmt: skip


def git(place: Path, *argv: str, given: bytes = b"") -> str:
    done = subprocess.run(
        [str(GIT), *argv], cwd=place, env=ENV, input=given, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().strip()


class Hub:
    """One bare repository `app.git` with three commits on `main`."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "hub"
        self.bare = self.root / "app.git"
        self.work = folder / "clone"
        self.root.mkdir()
        git(self.root, "init", "-q", "--bare", "-b", "main", "app.git")
        git(self.bare, "config", "http.receivepack", "true")
        git(folder, "clone", "-q", str(self.bare), str(self.work))
        self.commits = [
            self.commit({"version.txt": f"{n}\n", "deploy/app.yaml": f"replicas: {n}\n"}) for n in (1, 2, 3)
        ]
        self.url = ""
        self.asked: list[Asked] = []

    def commit(self, files: dict[str, str]) -> str:
        """One more commit by somebody else."""
        for name, text in files.items():
            path = self.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        git(self.work, "add", "-A")
        git(self.work, "commit", "-q", "-m", "More")
        git(self.work, "push", "-q", "origin", "HEAD:main")
        return git(self.work, "rev-parse", "HEAD")

    def at(self, ref: str = "refs/heads/main") -> str:
        return git(self.bare, "rev-parse", "--verify", ref)

    def show(self, what: str) -> str:
        return git(self.bare, "show", what)

    def refs(self) -> str:
        return git(self.bare, "for-each-ref")

    def __call__(self, asked: Asked) -> Told:
        self.asked.append(asked)
        if asked.headers.get("authorization") != CREDENTIAL:
            return Told(401, b"", {"WWW-Authenticate": 'Basic realm="Git"'})
        env = {
            **ENV, "GIT_PROJECT_ROOT": str(self.root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": asked.path,
            "QUERY_STRING": asked.query, "REQUEST_METHOD": asked.method, "REMOTE_USER": "robot",
            "CONTENT_TYPE": asked.headers.get("content-type", ""), "CONTENT_LENGTH": str(len(asked.body)),
            "GIT_PROTOCOL": asked.headers.get("git-protocol", ""),
        }  # fmt: skip
        done = subprocess.run(
            [str(GIT), "http-backend"], env=env, input=asked.body, capture_output=True, check=False
        )
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        return Told(int(headers.pop("Status", "200")[:3]), body, headers)


@contextmanager
def hub(folder: Path):
    made = Hub(folder)
    with far(made) as server:
        made.url = f"{server.url}/app.git"
        yield made
