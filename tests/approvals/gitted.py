"""A Git repository for tests, made in Python: commits, a branch that moves, a server that speaks HTTP."""

import threading
from contextlib import contextmanager
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from dulwich.objects import Blob, Commit, Tree
from dulwich.refs import Ref
from dulwich.repo import Repo
from dulwich.server import BackendRepo, DictBackend
from dulwich.web import make_wsgi_chain

RULES = """package countersign.change

# METADATA
# title: The owner agrees
# custom:
#   rule: owner-agrees
require contains {
	"stage": "Owner", "order": 1, "quorum": 1, "teams": [input.service.owner], "exclude_authors": true,
	"signature": "session", "expires_in": 3600,
	"why": {
		"rule": "owner-agrees", "message": "They own it.",
		"read": [{"path": "input.service.owner", "value": input.service.owner}],
	},
}

deny := []

warn := []

windows := []

obligations := []
"""
TESTS = """package countersign.change_test

import data.countersign.change

facts := {"service": {"slug": "a", "tier": 1, "owner": "payments"}}

test_the_owner_is_asked if {
	{"payments"} == {one.teams[0] | some one in change.require} with input as facts
}
"""
SOUND = {"owner.rego": RULES, "owner_test.rego": TESTS}


class Kept:
    """A repository in a folder; `commit` puts a whole tree at the head of a branch."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.repo = Repo.init_bare(path, mkdir=True)
        self.clock = 1_700_000_000

    def commit(
        self,
        files,
        *,
        by="Mara Lind <mara@bank.example>",
        after="head",
        branch="main",
        message="A change",
        modes=(),
    ):
        """`after`: the parent, `None` for a history of its own. Returns the id."""
        ref = Ref(f"refs/heads/{branch}".encode())
        refs = self.repo.get_refs()
        parents = (
            [refs[ref]]
            if after == "head" and ref in refs
            else [after.encode()]
            if after not in {"head", None}
            else []
        )
        commit = Commit()
        commit.tree = self._tree(dict(files), dict(modes))
        commit.parents = parents
        commit.author = commit.committer = by.encode()
        self.clock += 60
        commit.author_time = commit.commit_time = self.clock
        commit.author_timezone = commit.commit_timezone = 0
        commit.message = message.encode()
        self.repo.object_store.add_object(commit)
        self.repo.refs[ref] = commit.id
        return commit.id.decode()

    def delete(self, branch):
        del self.repo.refs[Ref(f"refs/heads/{branch}".encode())]

    def _tree(self, files, modes, prefix=""):
        tree = Tree()
        below: dict[str, dict[str, str | bytes]] = {}
        for path, text in files.items():
            name, _, rest = path.partition("/")
            if rest:
                below.setdefault(name, {})[rest] = text
            else:
                blob = Blob.from_string(text if isinstance(text, bytes) else text.encode())
                self.repo.object_store.add_object(blob)
                tree.add(name.encode(), modes.get(prefix + path, 0o100644), blob.id)
        for name, inside in below.items():
            tree.add(name.encode(), 0o040000, self._tree(inside, modes, f"{prefix}{name}/"))
        self.repo.object_store.add_object(tree)
        return tree.id


class _Quiet(WSGIRequestHandler):
    def log_message(self, *said):
        pass


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


@contextmanager
def served(kept: Kept):
    """The repository over HTTP, on a free port; yields the address."""
    app = make_wsgi_chain(DictBackend({"/": cast("BackendRepo", kept.repo)}))
    server = make_server("127.0.0.1", 0, app, server_class=_Server, handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
