"""`git` against a real Git server: what is read, what is pushed, and that nobody's work is ever lost."""

import threading
import time
from dataclasses import replace

import pytest

from audit.canonical import uuid7
from orchestration.actions import egress, git_repository, registry
from orchestration.actions.base import Failed
from orchestration.actions.git import ROOT, Git
from tests.orchestration.far import Told, context, far
from tests.orchestration.gits import GIT, git, hub
from tests.orchestration.test_supervise import Watched

real = pytest.mark.skipif(GIT is None, reason="*** NO GIT: GIT STEPS ARE NOT PROVED. Install git ***")
KEY = str(uuid7())
AUTHOR = {"name": "Countersign", "email": "robot@bank.example"}
AUTH = {"user": "robot", "password": "WORD"}


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path):
    monkeypatch.setenv(egress.ALLOWED, "127.0.0.1")
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "WORD").write_text("s3cret-word\n")
    monkeypatch.setenv("STEP_SECRETS", str(folder))
    step = tmp_path / "step"
    step.mkdir()
    monkeypatch.chdir(step)
    return step


@pytest.fixture(params=["far", "near"])
def there(request, tmp_path, monkeypatch):
    """A repository behind HTTP, and one by its path."""
    monkeypatch.setenv(ROOT, str(tmp_path / "hub"))
    with hub(tmp_path) as made:
        made.given = (
            {"repository": made.url, "auth": AUTH}
            if request.param == "far"
            else {"repository": str(made.bare)}
        )
        yield made


def run(there, *, key=KEY, phase="apply", **act):
    made, lines = context({**there.given, **act}, key=key)
    return Git().run(made), "\n".join(lines)


def reason(there, **act):
    try:
        return run(there, **act)[0].reason
    except Failed as error:
        return str(error)


def push(there, **changed):
    asked = {
        "branch": "main", "expected": there.commits[-1], "message": "Release 4", "author": AUTHOR,
        "files": {"version.txt": {"text": "4\n"}, "deploy/new/app.yaml": {"text": "replicas: 4\n"}}, **changed,
    }  # fmt: skip
    return {"push": {name: value for name, value in asked.items() if value is not None}}


@real
def test_the_files_of_a_commit_are_read(there, here):
    act = {"branch": "main", "commit": there.commits[1], "outputs": {"version": "version.txt"}}
    done, _ = run(there, checkout=act)
    assert done.outputs["version"] == "2"
    assert done.outputs["tree"] == git(there.bare, "rev-parse", f"{there.commits[1]}^{{tree}}")
    assert (here / "checkout/deploy/app.yaml").read_text() == "replicas: 2\n"
    assert Git().effect_of({"checkout": act}) == "read_only"


@real
def test_a_commit_that_is_not_of_the_branch_is_not_read(there):
    git(there.work, "checkout", "-q", "-b", "other")
    (there.work / "x").write_text("x")
    git(there.work, "add", "-A")
    git(there.work, "commit", "-q", "-m", "Elsewhere")
    git(there.work, "push", "-q", "origin", "other")
    elsewhere = git(there.work, "rev-parse", "HEAD")
    assert "is no commit of main" in reason(there, checkout={"branch": "main", "commit": elsewhere})
    assert "is no commit of main" in reason(there, checkout={"branch": "main", "commit": "0" * 39 + "1"})
    assert "has no branch" in reason(there, checkout={"branch": "gone", "commit": elsewhere})


@real
def test_x08_a_commit_with_links_and_strange_paths_stays_in_its_place(there, here, tmp_path):
    (there.work / "link").symlink_to("/etc/passwd")
    there.commit({"a b": "x"})
    blob = git(there.work, "hash-object", "-w", "--stdin", given=b"x")
    inner = git(there.work, "mktree", given=f"100644 blob {blob}\tevil\n".encode())
    climbing = git(
        there.work, "mktree", given=f"040000 tree {inner}\t..\n100644 blob {blob}\tplain\n".encode()
    )
    head = there.at()
    commit = git(there.work, "commit-tree", climbing, "-p", head, "-m", "Climb")
    git(there.work, "push", "-q", "origin", f"{commit}:refs/heads/main")
    run(there, checkout={"branch": "main", "commit": head})
    assert not (here / "checkout/link").exists()
    assert (here / "checkout/a b").read_text() == "x"
    run(there, checkout={"branch": "main", "commit": commit})
    assert (here / "checkout/plain").read_text() == "x"
    assert not list(tmp_path.rglob("evil"))


@real
def test_files_are_pushed_as_one_commit_onto_the_expected_one(there, here):
    (here / "run.sh").write_text("#!/bin/sh\n")
    files = {"version.txt": {"text": "4\n"}, "bin/run.sh": {"file": "run.sh"}}
    done, said = run(there, **push(there, files=files, delete=["deploy/app.yaml"]))
    assert there.at() == done.outputs["commit"]
    assert git(there.bare, "rev-parse", f"{there.at()}^") == there.commits[-1]
    assert there.show("main:version.txt") == "4"
    assert git(there.bare, "ls-tree", "-r", "--format=%(objectmode) %(path)", "main").splitlines() == [
        "100755 bin/run.sh", "100644 version.txt",
    ]  # fmt: skip
    assert (
        there.show(
            "-s",
        )
        if False
        else git(there.bare, "log", "-1", "--format=%an <%ae>|%s")
        == ("Countersign <robot@bank.example>|Release 4")
    )
    assert "-3\n+4" in said
    git(there.bare, "fsck", "--strict")


@real
def test_a_branch_that_stands_elsewhere_is_left_alone(there):
    moved = there.commit({"other.txt": "somebody else's"})
    assert f"is at {moved}" in reason(there, **push(there))
    assert there.at() == moved
    assert "far from" in reason(there, **push(there, expected="1" * 40))


@real
def test_somebody_who_pushes_at_the_same_moment_loses_nothing(there, monkeypatch):
    """Between our look and our push: the repository compares, not we."""
    move = git_repository.Repository.move
    moved = []

    def later(self, ref, **how):
        moved.append(there.commit({"other.txt": "somebody else's"}))
        move(self, ref, **how)

    monkeypatch.setattr(git_repository.Repository, "move", later)
    assert "nothing was changed" in reason(there, **push(there))
    assert there.at() == moved[0]


@real
def test_the_repository_itself_compares_the_expected_value(tmp_path, monkeypatch):
    """Even after its refs were told: what is sent names the old value."""
    with hub(tmp_path) as there:
        there.given = {"repository": there.url, "auth": AUTH}
        moved: list[str] = []
        answer = there.__call__

        def race(asked):
            if asked.method == "POST" and asked.path.endswith("git-receive-pack") and not moved:
                moved.append(there.commit({"other.txt": "somebody else's"}))
            return answer(asked)

        with far(race) as server:
            there.given["repository"] = f"{server.url}/app.git"
            assert "refuses" in reason(there, **push(there))
        assert there.at() == moved[0]


@real
def test_another_attempt_makes_the_same_commit_and_finds_it(there):
    first, _ = run(there, **push(there))
    again, said = run(there, **push(there))
    assert first.outputs == again.outputs
    assert "is there already" in said
    further = there.work
    git(further, "pull", "-q", "origin", "main")
    later = there.commit({"later.txt": "x"})
    third, _ = run(there, **push(there))
    assert third.outputs == first.outputs
    assert there.at() == later


@real
def test_two_steps_push_once_each_or_not_at_all(there):
    """Eight at a barrier, onto one commit: one wins."""
    barrier, told = threading.Barrier(8), []

    def attempt(number):
        act = push(there, files={"version.txt": {"text": f"{number}\n"}})
        made, _ = context({**there.given, **act}, key=str(uuid7()))
        barrier.wait()
        try:
            told.append(Git().run(made).outputs["commit"])
        except Failed:
            told.append("")

    threads = [threading.Thread(target=attempt, args=(n,)) for n in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert [one for one in told if one] == [there.at()]
    assert git(there.bare, "rev-parse", f"{there.at()}^") == there.commits[-1]


@real
def test_a_plan_is_the_difference_and_changes_nothing(there, monkeypatch, tmp_path):
    artifacts = tmp_path / "artifacts"
    artifacts.mkdir()
    monkeypatch.setenv("STEP_PHASE", "plan")
    monkeypatch.setenv("STEP_ARTIFACTS", str(artifacts))
    before = there.refs()
    planned, said = run(there, **push(there))
    assert there.refs() == before
    diff = (artifacts / "change.diff").read_text()
    assert "+++ b/deploy/new/app.yaml" in diff
    assert diff.strip() in said
    act = {"branch": "main", "commit": there.commits[0]}
    run(there, checkout=act)
    assert (artifacts / "checkout/version.txt").read_text() == "1\n"
    monkeypatch.setenv("STEP_PHASE", "apply")
    assert run(there, **push(there))[0].outputs == planned.outputs


@real
def test_a_check_tells_whether_it_has_happened(there, monkeypatch):
    monkeypatch.setenv("STEP_PHASE", "check")
    before = there.refs()
    assert "is not at" in reason(there, **push(there))
    assert "is not at" in reason(there, tag={"name": "v4", "commit": there.commits[0]})
    assert there.refs() == before
    monkeypatch.setenv("STEP_PHASE", "apply")
    run(there, **push(there))
    monkeypatch.setenv("STEP_PHASE", "check")
    assert run(there, **push(there))[0].succeeded


@real
def test_a_push_that_would_change_nothing_says_so(there):
    assert "nothing to push" in reason(there, **push(there, files={"version.txt": {"text": "3\n"}}))
    assert "no file gone.txt to delete" in reason(there, **push(there, delete=["gone.txt"]))
    assert "lists no file other" in reason(there, **push(there, files={"a": {"file": "other"}}))


@real
def test_a_tag_is_set_once_and_never_moved(there):
    plain = {"name": "v1", "commit": there.commits[0]}
    assert run(there, tag=plain)[0].succeeded
    assert run(there, tag=plain)[0].succeeded
    assert there.at("refs/tags/v1") == there.commits[0]
    assert "is never moved" in reason(there, tag={**plain, "commit": there.commits[1]})
    told = {**plain, "name": "v2", "message": "The second", "tagger": AUTHOR}
    assert run(there, tag=told)[0].succeeded
    assert run(there, tag=told)[0].succeeded
    assert git(there.bare, "cat-file", "-t", "v2") == "tag"
    assert there.at("v2^{commit}") == there.commits[0]
    git(there.bare, "fsck", "--strict")


@real
def test_it_runs_in_a_process_of_its_own_and_says_no_secret(tmp_path, monkeypatch):
    with hub(tmp_path) as there:
        act = push(there, files={"run.sh": {"file": "run.sh"}})
        made = Watched(
            {"repository": there.url, "auth": AUTH, **act}, uses="git", files={"run.sh": "#!/bin/sh\n"}
        )
        made.attempt = replace(
            made.attempt, env={"STEP_SECRETS": str(tmp_path / "secrets")}, idempotency_key=KEY
        )
        outcome = made.run()
        assert (outcome.state, outcome.outputs["commit"]) == ("succeeded", there.at())
        assert "s3cret" not in made.text


@real
def test_a_wrong_password_changes_nothing_and_is_not_told(tmp_path):
    with hub(tmp_path) as there:
        (tmp_path / "secrets/WORD").write_text("wr0ng")
        there.given = {"repository": there.url, "auth": AUTH}
        told = reason(there, **push(there))
        assert "does not let us in" in told
        assert "wr0ng" not in told


@pytest.mark.parametrize(
    "answer",
    [Told(500), Told(200, b"nonsense"), Told(200, b"0000"), Told(302, b"", {"Location": "http://10.0.0.1/"}), Told(404),
     Told(200, b"001e# service=git-upload-pack\n0000ffff",
          {"Content-Type": "application/x-git-upload-pack-advertisement"}),
     Told(200, b"", {"Content-Length": "9"})],
)  # fmt: skip
def test_a_server_that_speaks_nonsense_ends_in_words(answer):
    with far(lambda _: answer) as server:

        class There:
            given = {"repository": f"{server.url}/app.git"}
            commits = ["1" * 40]

        told = reason(There, **push(There))
        assert told.startswith((server.url, "127.0.0.1"))
        assert len(server.asked) <= 2


def test_x09_a_private_repository_needs_the_operators_word(monkeypatch):
    monkeypatch.setenv(egress.ALLOWED, "")
    with far(lambda _: Told()) as server:

        class There:
            given = {"repository": f"{server.url}/app.git"}
            commits = ["1" * 40]

        assert "private address" in reason(There, **push(There))
        assert server.asked == []


@pytest.mark.parametrize(
    "path",
    ["/etc", "{root}/../outside", "{root}/link", "{root}evil", "file:///etc", "file://{root}/../outside"],
)
def test_x08_a_path_outside_the_operators_folder_is_refused(tmp_path, monkeypatch, path):
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside").mkdir()
    (root / "link").symlink_to(tmp_path / "outside")

    class There:
        given = {"repository": path.format(root=root)}
        commits = ["1" * 40]

    monkeypatch.setenv(ROOT, str(root))
    assert "not below the folder" in reason(There, **push(There))
    monkeypatch.setenv(ROOT, "")
    assert "the operator has not set" in reason(There, **push(There))


class Known:
    commits = ["1" * 40]


def whole(**act):
    return {"repository": "https://git.bank.internal/team/app.git", **(act or push(Known))}


def test_what_fits_is_accepted():
    tag = {"name": "v1.2.3", "commit": "1" * 40, "message": "One\n\nTwo", "tagger": AUTHOR}
    for with_ in (whole(), whole(tag=tag), whole(checkout={"branch": "release/1.x", "commit": "1" * 40})):
        assert registry.validate("git", {**with_, "auth": AUTH}) == []
    assert registry.validate("git", {**whole(), "repository": "/srv/git/app.git"}) == []


PATHS = [
    "../x",
    "/x",
    "a/../b",
    ".git/config",
    "a/.GIT/config",
    "git~1/x",
    "a//b",
    "",
    ".",
    "a/",
    "-x",
    "a\nb",
    "a\0",
    "a\\b",
]
REFS = [
    "-x",
    "a..b",
    "a.lock",
    "a/.b",
    "a b",
    "a~1",
    "a^",
    "a:b",
    "@{-1}",
    "",
    "a\n",
    "refs//x",
    "a/",
    "a@{1}",
    "*",
    "\u202ea",
]


@pytest.mark.parametrize(
    "with_",
    [
        *({**whole(), "repository": one} for one in
          ["ssh://git@x/a", "git@x:a", "ext::sh -c id", "https://user@x/a", "-x", "../a",
           "https://x/../a", "https://x/a\n", "https://x/?a"]),
        *(whole(**push(Known, branch=one)) for one in REFS),
        *(whole(tag={"name": one, "commit": "1" * 40}) for one in REFS),
        *(whole(**push(Known, files={one: {"text": "x"}})) for one in PATHS),
        *(whole(**push(Known, files={"a": {"file": one}})) for one in PATHS),
        *(whole(**push(Known, delete=[one])) for one in PATHS),
        whole(**push(Known, expected="main")), whole(**push(Known, expected="1" * 39)),
        whole(**push(Known, force=True)),
        whole(**push(Known, expected=None)), whole(**push(Known, author={"name": "a\nb", "email": "c"})),
        whole(**push(Known, author={"name": "a <b>", "email": "c"})),
        whole(**push(Known, files={"a": {"text": "x", "file": "y"}})),
        whole(tag={"name": "v1", "commit": "1" * 40, "message": "x"}),
        whole(checkout={"branch": "main", "commit": "main"}),
        {**whole(), "tag": {"name": "v1", "commit": "1" * 40}}, {"repository": "https://x/a"},
        {**whole(), "auth": {"user": "a", "password": "the word itself"}},
    ],
)  # fmt: skip
def test_x02_x03_what_does_not_fit_is_refused_in_words(with_):
    assert registry.validate("git", with_)


def test_x16_no_pattern_is_slow_whatever_is_typed():
    registry.validate("git", whole())
    begun = time.process_time()
    for text in ("a" * 1_000_000, "a/" * 500_000, "a." * 500_000, "/" * 1_000_000 + "\n", "a@" * 500_000):
        registry.validate(
            "git", {**whole(**push(Known, branch=text, files={text: {"text": text}})), "repository": text}
        )
    assert time.process_time() - begun < 4
