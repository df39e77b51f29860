"""What a `git` step does: the files of a commit, a tag, a commit and its push. In the step's own process.

A commit and a tag are made of what is signed and of the moment in the step's key, so every attempt makes the same one.
"""

import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from dulwich.object_store import PackCapableObjectStore, iter_tree_contents
from dulwich.objects import Blob, Commit, ObjectID, ShaFile, Tag, Tree
from dulwich.patch import write_tree_diff

from orchestration.actions.base import Context, Failed, Result
from orchestration.actions.git_repository import Repository

DEPTH = 50  # commits among which ours is looked for when the branch has gone on
FILE, PROGRAM, FOLDER = 0o100644, 0o100755, 0o040000
OUTPUT_CHARACTERS = 4096
FILES, BYTES = 20_000, 200 << 20  # of one checkout
DIFF_BYTES = 1 << 20  # that are said
Changes = Mapping[tuple[bytes, ...], tuple[int, Blob] | None]


def run(context: Context) -> Result:
    """Do the one thing that the step names."""
    given = context.with_
    there = Repository(given, context)
    if "checkout" in given:
        return _checkout(there, given["checkout"], context)
    return _tag(there, given["tag"], context) if "tag" in given else _push(there, given["push"], context)


# --- reading ----------------------------------------------------------------------------------------------------


def _checkout(there: Repository, given: Mapping[str, Any], context: Context) -> Result:
    wanted, head = given["commit"].encode(), _head(there, given["branch"])
    store = there.fetch(head)
    if not _leads_to(store, head, wanted):
        raise Failed(f"{given['commit']} is no commit of {given['branch']}; nothing was read.")
    tree = _commit(store, wanted).tree
    place = (context.artifacts if context.phase == "plan" else Path()) / "checkout"
    count = _write(store, tree, place)
    context.say(f"{given['commit']} of {given['branch']}: {count} files")
    outputs = {name: _text(store, tree, path) for name, path in given.get("outputs", {}).items()}
    return Result(succeeded=True, outputs={**outputs, "commit": given["commit"], "tree": tree.decode()})


def _head(there: Repository, branch: str) -> bytes:
    found = there.refs().get(f"refs/heads/{branch}".encode())
    if found is None:
        raise Failed(f"{there.shown} has no branch {branch}; nothing was done.")
    return found


def _commit(store: PackCapableObjectStore, name: bytes) -> Commit:
    found = store[ObjectID(name)]
    if not isinstance(found, Commit):
        raise Failed(f"{name.decode()} is no commit; nothing was done.")
    return found


def _leads_to(store: PackCapableObjectStore, head: bytes, wanted: bytes) -> bool:
    """Whether `wanted` is `head` or one of its ancestors, as far as they were fetched."""
    waiting, seen = [head], {head}
    while waiting:
        name = waiting.pop()
        if name == wanted:
            return True
        if ObjectID(name) in store:
            parents = {bytes(one) for one in _commit(store, name).parents} - seen
            seen |= parents
            waiting += parents
    return False


def _write(store: PackCapableObjectStore, tree: bytes, place: Path) -> int:
    """Plain files only: a link or a part of another repository is left out, and no path leaves the place."""
    count = size = 0
    for entry in iter_tree_contents(store, ObjectID(tree)):
        path = (entry.path or b"").decode(errors="surrogateescape")
        parts = path.split("/")
        if entry.mode not in {FILE, PROGRAM, 0o100664} or any(
            part.lower() in {"", ".", "..", ".git"} for part in parts
        ):
            continue
        data = store[ObjectID(entry.sha or b"")].as_raw_string()
        count, size = count + 1, size + len(data)
        if count > FILES or size > BYTES:
            raise Failed(
                f"The commit has more than {FILES} files or {BYTES} bytes; it was not read to its end."
            )
        file = place / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        file.chmod(0o700 if entry.mode == PROGRAM else 0o600)
    return count


def _text(store: PackCapableObjectStore, tree: bytes, path: str) -> str:
    found = _entry(store, tree, tuple(path.encode().split(b"/")))
    blob = store[ObjectID(found[1])] if found else None
    if not isinstance(blob, Blob):
        raise Failed(f"There is no file {path} in that commit.")
    text = blob.data.decode(errors="replace").strip()
    if len(text) > OUTPUT_CHARACTERS:
        raise Failed(f"{path} is longer than {OUTPUT_CHARACTERS} characters, too long for an output.")
    return text


# --- writing ----------------------------------------------------------------------------------------------------


def _tag(there: Repository, given: Mapping[str, Any], context: Context) -> Result:
    ref, wanted = f"refs/tags/{given['name']}".encode(), given["commit"].encode()
    objects: list[ShaFile] = []
    new = wanted
    if "message" in given:
        made = Tag()
        made.name, made.object, made.message = (
            given["name"].encode(),
            (Commit, ObjectID(wanted)),
            _message(given),
        )
        made.tagger = _person(given["tagger"])
        made.tag_time, made.tag_timezone = _moment(context), 0
        objects, new = [made], bytes(made.id)
    stands = there.refs().get(ref)
    outputs = {"commit": given["commit"], "tag": given["name"]}
    if stands == new:
        context.say(f"{given['name']} is at {given['commit']} already")
        return Result(succeeded=True, outputs=outputs)
    if stands is not None:
        raise Failed(f"There is a tag {given['name']} already, at {stands.decode()}; it is never moved.")
    context.say(f"{given['name']} -> {given['commit']}")
    return _apply(there, context, outputs, ref=ref, old=b"", new=new, objects=objects)


def _push(there: Repository, given: Mapping[str, Any], context: Context) -> Result:
    ref, expected = f"refs/heads/{given['branch']}".encode(), given["expected"].encode()
    head = _head(there, given["branch"])
    store = there.fetch(head, depth=DEPTH)
    if ObjectID(expected) not in store:
        raise Failed(
            f"{given['branch']} is at {head.decode()}, far from {expected.decode()}; nothing was changed."
        )
    base = _commit(store, expected)
    objects: list[ShaFile] = []
    tree = _changed(store, base.tree, _changes(store, base.tree, given), objects)
    made = _made(given, expected, tree, context)
    outputs = {"commit": made.id.decode(), "tree": tree.decode()}
    if _leads_to(store, head, bytes(made.id)):
        context.say(f"{made.id.decode()} is there already")
        return Result(succeeded=True, outputs=outputs)
    if head != expected:
        raise Failed(
            f"{given['branch']} is at {head.decode()}, not at {expected.decode()}; nothing was changed."
        )
    if tree == base.tree:
        raise Failed("The files there are as the step would make them; there is nothing to push.")
    _say_diff(store, base.tree, tree, objects, context)
    return _apply(
        there, context, outputs, ref=ref, old=expected, new=bytes(made.id), objects=[*objects, made]
    )


def _apply(
    there: Repository, context: Context, outputs: Mapping[str, str], *, ref: bytes, old: bytes, new: bytes,
    objects: list[ShaFile],
) -> Result:  # fmt: skip
    """A plan ends before it, a check fails: it has not happened."""
    if context.phase == "check":
        raise Failed(f"{ref.decode()} is not at {new.decode()}.")
    if context.phase != "plan":
        there.move(ref, old=old, new=new, objects=objects)
        context.say(f"{ref.decode()} is at {new.decode()}")
    return Result(succeeded=True, outputs=outputs)


def _changes(store: PackCapableObjectStore, tree: bytes, given: Mapping[str, Any]) -> Changes:
    changes: dict[tuple[bytes, ...], tuple[int, Blob] | None] = {}
    for path, what in given.get("files", {}).items():
        data = what["text"].encode() if "text" in what else _signed(what["file"])
        parts = tuple(path.encode().split(b"/"))
        was = _entry(store, tree, parts)
        mode = was[0] if was and was[0] in {FILE, PROGRAM} else PROGRAM if data.startswith(b"#!") else FILE
        changes[parts] = (mode, Blob.from_string(data))
    for path in given.get("delete", ()):
        parts = tuple(path.encode().split(b"/"))
        if _entry(store, tree, parts) is None:
            raise Failed(f"There is no file {path} to delete; nothing was changed.")
        changes[parts] = None
    return changes


def _signed(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError:
        raise Failed(f"The step lists no file {name}; nothing was changed. Add it to `files`.") from None


def _entry(store: PackCapableObjectStore, tree: bytes, parts: tuple[bytes, ...]) -> tuple[int, bytes] | None:
    """(mode, name) of what stands at a path."""
    found: tuple[int, bytes] = (FOLDER, tree)
    for part in parts:
        folder: ShaFile | None = store[ObjectID(found[1])] if found[0] == FOLDER else None
        if not isinstance(folder, Tree) or part not in folder:
            return None
        mode, name = folder[part]
        found = (mode, bytes(name))
    return found


def _changed(store: PackCapableObjectStore, tree: bytes, changes: Changes, made: list[ShaFile]) -> bytes:
    """The tree with the changes; what is new goes into `made`. A folder that becomes empty is gone."""
    old = store[ObjectID(tree)] if tree else Tree()
    new = Tree()
    if isinstance(old, Tree):
        for name, mode, sha in old.iteritems():
            new.add(name, mode, sha)
    below: dict[bytes, dict[tuple[bytes, ...], tuple[int, Blob] | None]] = {}
    for parts, change in changes.items():
        if len(parts) > 1:
            below.setdefault(parts[0], {})[parts[1:]] = change
        elif change is None:
            del new[parts[0]]
        else:
            new.add(parts[0], change[0], change[1].id)
            made.append(change[1])
    for folder, inner in below.items():
        is_folder = folder in new and new[folder][0] == FOLDER
        inside = _changed(store, bytes(new[folder][1]) if is_folder else b"", inner, made)
        if inside:
            new.add(folder, FOLDER, ObjectID(inside))
        else:
            del new[folder]
    made.append(new)
    return bytes(new.id) if len(new) else b""


def _made(given: Mapping[str, Any], parent: bytes, tree: bytes, context: Context) -> Commit:
    made = Commit()
    made.tree, made.parents, made.message = ObjectID(tree or Tree().id), [ObjectID(parent)], _message(given)
    made.author = made.committer = _person(given["author"])
    made.author_time = made.commit_time = _moment(context)
    made.author_timezone = made.commit_timezone = 0
    made.encoding = b"UTF-8"
    return made


def _say_diff(
    store: PackCapableObjectStore, old: bytes, new: bytes, objects: list[ShaFile], context: Context
) -> None:
    for one in objects:
        store.add_object(one)
    diff = io.BytesIO()
    write_tree_diff(diff, store, ObjectID(old), ObjectID(new))
    if context.phase == "plan":
        (context.artifacts / "change.diff").write_bytes(diff.getvalue())
    context.say(diff.getvalue()[:DIFF_BYTES].decode(errors="replace"))


def _message(given: Mapping[str, Any]) -> bytes:
    return f"{given['message'].rstrip()}\n".encode()


def _person(given: Mapping[str, str]) -> bytes:
    return f"{given['name']} <{given['email']}>".encode()


def _moment(context: Context) -> int:
    """When the step was made, which its key tells (RFC 9562, version 7): the same in every attempt."""
    try:
        key = UUID(context.idempotency_key)
    except ValueError:
        return int(time.time())
    return (key.int >> 80) // 1000 if key.version == 7 else int(time.time())
