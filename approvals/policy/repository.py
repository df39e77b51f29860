"""Reaches a Git repository, near or far, and reads the head of one branch. In Python alone.

It must never start a process, follow a link, write to the repository, or say an address with its password.
"""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from urllib.request import url2pathname

from dulwich.client import HttpGitClient
from dulwich.config import ConfigFile
from dulwich.errors import NotGitRepository
from dulwich.objects import ObjectID
from dulwich.refs import Ref
from dulwich.repo import MemoryRepo, Repo

from approvals.policy.committed import Head, read_head
from audit.refusals import Refusal

SCHEMES = ("https", "http", "file", "")
PACK_BYTES = 50_000_000  # what a remote repository may send
SECONDS = 30.0  # for one answer, and for all that is read


class RepositoryUnreachable(Refusal):
    """The repository, the branch or the folder cannot be read. What judges stays as it is."""

    code = "policy_repository_unreachable"
    status = 503


@dataclass(frozen=True)
class Place:
    """Where the policy is kept."""

    address: str
    branch: str
    folder: str

    @property
    def shown(self) -> str:
        """The address without a name or password in it: what is shown and recorded."""
        parts = urlsplit(self.address)
        return (
            urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
            if parts.scheme
            else self.address
        )


def head(place: Place) -> str:
    """The id of the commit at the head of the branch; reads no more than that."""
    with _reading(place):
        if _is_remote(place):
            return _head_of(place, dict(_client(place).get_refs(_path(place)).refs))
        with closing(_local(place)) as repo:
            return _head_of(place, dict(repo.get_refs()))


def read(place: Place, *, since: str | None, after: str | None, depth: int | None = None) -> Head:
    """The head's files and its writers since the commit `since`; `after` is the head that was seen before.

    `depth` says how much of the history is fetched; nothing means all of it.
    """
    with _reading(place):
        if _is_remote(place):
            copy = MemoryRepo()
            found = _fetch(place, copy, depth)
            return read_head(copy.object_store, found, place.folder, since=since, after=after)
        with closing(_local(place)) as repo:
            found = _head_of(place, dict(repo.get_refs()))
            return read_head(repo.object_store, found, place.folder, since=since, after=after)


# --- reaching it ----------------------------------------------------------------------------------------------


def _is_remote(place: Place) -> bool:
    scheme = urlsplit(place.address).scheme
    if scheme not in SCHEMES:
        raise RepositoryUnreachable(
            f"Policy is read from https, http, file or a path, not from {scheme}; nothing was read."
        )
    return scheme in {"http", "https"}


def _local(place: Place) -> Repo:
    parts = urlsplit(place.address)
    return Repo(Path(url2pathname(parts.path) if parts.scheme else place.address))


def _client(place: Place) -> HttpGitClient:
    """Nobody's configuration: it could name another address, a proxy command or a password of somebody else."""
    parts = urlsplit(place.address)
    base = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], "", "", ""))
    return HttpGitClient(
        base,
        config=ConfigFile(),
        username=parts.username,
        password=parts.password,
        timeout=SECONDS,
        quiet=True,
    )


def _path(place: Place) -> str:
    return urlsplit(place.address).path


def _fetch(place: Place, repo: MemoryRepo, depth: int | None) -> str:
    """The branch and its history, bounded in bytes and time."""
    deadline, wanted = time.monotonic() + SECONDS, []
    file, commit, abort = repo.object_store.add_pack()
    left = PACK_BYTES

    def write(data: bytes) -> int:
        nonlocal left
        left -= len(data)
        if left < 0 or time.monotonic() > deadline:
            raise RepositoryUnreachable(
                f"{place.shown} sends more than {PACK_BYTES} bytes or takes longer than {SECONDS:g} s. Nothing was"
                " read; keep policy in a repository of its own."
            )
        return file.write(data)

    def want(refs: object, depth: int | None = None) -> list[ObjectID]:
        found = _head_of(place, dict(refs))  # type: ignore[call-overload]
        wanted.append(found)
        return [ObjectID(found.encode())]

    try:
        _client(place).fetch_pack(_path(place), want, repo.get_graph_walker(), write, depth=depth)
        commit()
    except BaseException:
        abort()
        raise
    return wanted[0]


def _head_of(place: Place, refs: dict[Ref, ObjectID | None]) -> str:
    found = refs.get(Ref(b"refs/heads/" + place.branch.encode()))
    if found is None:
        raise RepositoryUnreachable(
            f"{place.shown} has no branch {place.branch} (any more). What judges stays; name another, or restore it."
        )
    return found.decode()


@contextmanager
def _reading(place: Place) -> Iterator[None]:
    """Whatever a repository does wrong ends as one refusal."""
    try:
        yield
    except RepositoryUnreachable:
        raise
    except NotGitRepository as error:
        raise RepositoryUnreachable(f"{place.shown} is no Git repository that can be read.") from error
    except Exception as error:  # Git, zlib and HTTP each have kinds of their own, and all mean this
        cause = type(error).__name__ if "@" in str(error) else f"{type(error).__name__}: {error}"[:200]
        raise RepositoryUnreachable(
            f"{place.shown} could not be read ({cause}). Nothing was changed."
        ) from error
