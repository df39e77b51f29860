"""One commit as policy needs it: the Rego files of a folder, who wrote them, what the commit follows. Pure.

It must never follow a link, nor believe that a commit was written by whom it names.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parseaddr
from stat import S_ISDIR, S_ISREG

from dulwich.object_store import BaseObjectStore
from dulwich.objects import Blob, Commit, ObjectID, Tree

from approvals.policy.engine import Fault, illegible

MAX_FILES = 200
MAX_BYTES = 500_000
MAX_FOLDERS = 2_000
MAX_COMMITS = 5_000
TRAILER = "co-authored-by:"


@dataclass(frozen=True)
class Writer:
    """Who a commit says wrote, committed or helped. Git proves none of it."""

    name: str
    email: str


@dataclass(frozen=True)
class Head:
    """What stands at the head of the branch."""

    commit: str
    summary: str
    sources: dict[str, str]
    faults: list[Fault]
    writers: list[Writer]  # of every commit since the one that judges
    complete: bool  # whether the history was read to its end
    follows: bool  # whether the commit that was seen before is among its ancestors


def read_head(
    store: BaseObjectStore, found: str, folder: str, *, since: str | None, after: str | None
) -> Head:
    """The folder's files at this commit, and its writers since the commit `since`."""
    commit = _commit(store, ObjectID(found.encode()))
    sources, faults = _files(store, commit, folder)
    history, complete = _ancestors(store, commit)
    old = _ancestors(store, history[since])[0] if since in history else {}
    fresh = [one for name, one in history.items() if name not in old and _touches(store, one, folder)]
    return Head(
        commit=found,
        summary=_text(commit.message).partition("\n")[0][:200],
        sources=sources,
        faults=faults,
        writers=sorted(
            {who for one in fresh for who in _writers(one)}, key=lambda who: (who.name, who.email)
        ),
        complete=complete or since in history,
        follows=after is None or after in history,
    )


def _files(store: BaseObjectStore, commit: Commit, folder: str) -> tuple[dict[str, str], list[Fault]]:
    sources: dict[str, str] = {}
    faults: list[Fault] = []
    size = 0
    for path, mode, name in _rego(store, _folder(store, commit, folder), faults):
        if not S_ISREG(mode):
            faults.append(Fault(path, 0, "It is a link; a bundle holds files only."))
            continue
        blob = store[name]
        text = blob.data if isinstance(blob, Blob) else b""
        size += len(text)
        if size > MAX_BYTES or len(sources) == MAX_FILES:
            said = f"A bundle has at most {MAX_FILES} Rego files and {MAX_BYTES} bytes; this one goes beyond here."
            return sources, [*faults, Fault(path, 0, said)]
        try:
            told = {path: text.decode()}
        except UnicodeDecodeError as error:
            line = text[: error.start].count(b"\n") + 1
            faults.append(Fault(path, line, "It is not UTF-8 text."))
            continue
        if unkept := illegible(told):
            faults += unkept
        else:
            sources |= told
    if not sources and not faults:
        faults.append(Fault(folder, 0, "There is no Rego file here."))
    return sources, faults


def _rego(
    store: BaseObjectStore, tree: ObjectID | None, faults: list[Fault]
) -> Iterator[tuple[str, int, ObjectID]]:
    """Path, mode and id of every entry that ends in .rego, sorted; folders below are walked, links are not."""
    waiting = [("", tree)] if tree else []
    walked = 0
    while waiting:
        prefix, name = waiting.pop(0)
        walked += 1
        if walked > MAX_FOLDERS:
            faults.append(
                Fault(prefix, 0, f"There are more than {MAX_FOLDERS} folders; keep policy in its own.")
            )
            return
        for entry in _tree(store, name).items():
            path = prefix + _text(entry.path)
            if S_ISDIR(entry.mode):
                waiting.append((f"{path}/", entry.sha))
            elif path.endswith(".rego"):
                yield path, entry.mode, entry.sha


def _folder(store: BaseObjectStore, commit: Commit, folder: str) -> ObjectID | None:
    """The tree of the folder at this commit; None where it has none."""
    name: ObjectID = commit.tree
    for part in [one for one in folder.split("/") if one]:
        entries = {entry.path: entry for entry in _tree(store, name).items()}
        entry = entries.get(part.encode())
        if entry is None or not S_ISDIR(entry.mode):
            return None
        name = entry.sha
    return name


def _ancestors(store: BaseObjectStore, start: Commit) -> tuple[dict[str, Commit], bool]:
    """The commit and what it follows, by id, and whether that is all of it."""
    found: dict[str, Commit] = {}
    waiting, complete = [start], True
    while waiting:
        commit = waiting.pop(0)
        name = commit.id.decode()
        if name in found:
            continue
        if len(found) == MAX_COMMITS:
            return found, False
        found[name] = commit
        for parent in commit.parents:
            if parent in store:
                waiting.append(_commit(store, parent))
            else:
                complete = False  # a shallow copy ends here
    return found, complete


def _touches(store: BaseObjectStore, commit: Commit, folder: str) -> bool:
    """Whether this commit made the folder what it is: it has it from none of its parents."""
    mine = _folder(store, commit, folder)
    parents = [_commit(store, one) for one in commit.parents if one in store]
    return all(_folder(store, one, folder) != mine for one in parents)


def _writers(commit: Commit) -> Iterator[Writer]:
    trailers = [
        line.partition(":")[2]
        for line in _text(commit.message).splitlines()
        if line.lower().startswith(TRAILER)
    ]
    for told in [_text(commit.author), _text(commit.committer), *trailers]:
        name, email = parseaddr(told)
        yield Writer(name[:200] or email[:200] or told.strip()[:200], email.lower()[:254])


def _commit(store: BaseObjectStore, name: ObjectID) -> Commit:
    found = store[name]
    if not isinstance(found, Commit):
        raise TypeError(f"{name.decode()} is no commit")
    return found


def _tree(store: BaseObjectStore, name: ObjectID | None) -> Tree:
    found = store[name] if name else None
    if not isinstance(found, Tree):
        raise TypeError("a folder of it is no tree")
    return found


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
