"""Policy is read from Git, wholly and safely: what is wrong is said by file and line, and nothing judges by itself."""

from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.db import DatabaseError, transaction
from django.utils.html import escape

from approvals.models import Bundle, PolicyCommit, PolicySource
from approvals.pages.commits import ASKED
from approvals.policy import bundles, candidates, commits, pool, repository
from approvals.policy.committed import MAX_BYTES
from approvals.policy.engine import PolicyRefused, PolicyUnavailable
from approvals.policy.repository import Place, RepositoryUnreachable
from audit.models import Entry
from audit.refusals import Invalid
from config.environment import Misconfigured, read
from tests.approvals.cast import TEST, person, sql
from tests.approvals.gitted import RULES, SOUND, TESTS, Kept, served

BROKEN = RULES.replace("deny := []", "deny := [")
UNNAMED = RULES.replace("# METADATA", "# nothing")
TWICE = RULES + RULES.partition("\n\n")[2].partition("deny := []")[0]
GREEDY = (
    TESTS
    + """
test_greedy if {
	all := [sprintf("%d", [one]) | some one in numbers.range(1, 100000000)]
	count(all) > 0
}
"""
)
FAILING = TESTS.replace('{"payments"} ==', '{"cards"} ==')


@pytest.fixture
def kept(tmp_path):
    return Kept(tmp_path / "policy.git")


@pytest.fixture
def set_to(settings):
    """Let the settings name a repository."""

    def name(kept, branch="main", folder=""):
        settings.POLICY_REPOSITORY = str(getattr(kept, "path", kept))
        settings.POLICY_BRANCH, settings.POLICY_FOLDER = branch, folder

    return name


@pytest.fixture
def synced(bank, kept, set_to):
    """Commit these files and sync; the row of the new head."""
    set_to(kept)

    def sync(files, **more):
        commit = kept.commit(files, **more)
        source = commits.sync(by=TEST)
        assert (source.problem, source.head) == ("", commit)
        return PolicyCommit.objects.get(commit=commit)

    return sync


def place(kept, branch="main", folder=""):
    return Place(str(getattr(kept, "path", kept)), branch, folder)


def kinds():
    entries = Entry.objects.filter(kind__startswith="policy.").exclude(kind="policy.decided")
    return list(entries.order_by("id").values_list("kind", flat=True))


# --- reading ----------------------------------------------------------------------------------------------------


def test_the_files_below_a_folder_are_read_and_nothing_beside_it(kept):
    commit = kept.commit(
        {"policy/a.rego": "A", "policy/deep/b.rego": "B", "policy/README": "-", "c.rego": "C"}
    )
    head = repository.read(place(kept, folder="policy"), since=None, after=None)
    assert (head.commit, head.sources, head.faults) == (commit, {"a.rego": "A", "deep/b.rego": "B"}, [])


@pytest.mark.parametrize("scheme", ["path", "file", "http"])
def test_it_is_read_from_a_path_a_file_address_and_over_http(kept, scheme):
    old = kept.commit(SOUND)
    commit = kept.commit({**SOUND, "more.rego": "package more\n"}, by="Jonas <jonas@bank.example>")
    with served(kept) as address:
        from_ = {"path": str(kept.path), "file": kept.path.as_uri(), "http": address}[scheme]
        assert repository.head(place(from_)) == commit
        head = repository.read(place(from_), since=old, after=old)
    assert head.sources.keys() == {"more.rego", *SOUND}
    assert ([one.name for one in head.writers], head.complete, head.follows) == (["Jonas"], True, True)


def test_a_link_is_a_fault_and_is_not_followed(kept):
    kept.commit({"a.rego": "/etc/passwd", "b.rego": "B"}, modes={"a.rego": 0o120000})
    head = repository.read(place(kept), since=None, after=None)
    assert head.sources == {"b.rego": "B"}
    assert [(one.file, one.message) for one in head.faults] == [
        ("a.rego", "It is a link; a bundle holds files only.")
    ]


@pytest.mark.parametrize(
    ("files", "file", "says"),
    [
        ({"a.rego": "x" * (MAX_BYTES + 1)}, "a.rego", "goes beyond here"),
        ({f"{n}.rego": "" for n in range(201)}, "99.rego", "at most 200"),
        ({"a.rego": b"ok\n\xff"}, "a.rego", "not UTF-8"),
        ({"README": ""}, "", "no Rego file"),
    ],
)
def test_what_is_too_large_or_no_text_is_a_fault_with_its_file(kept, files, file, says):
    kept.commit(files)
    faults = repository.read(place(kept), since=None, after=None).faults
    assert [one.file for one in faults] == [file]
    assert says in faults[0].message


def test_a_pack_that_is_too_large_is_not_read_to_its_end(kept, monkeypatch):
    kept.commit(SOUND)
    monkeypatch.setattr(repository, "PACK_BYTES", 100)
    with served(kept) as address, pytest.raises(RepositoryUnreachable, match="more than 100 bytes"):
        repository.read(place(address), since=None, after=None)


def test_only_who_touched_the_folder_since_the_given_commit_is_an_author(kept):
    kept.commit({"policy/a.rego": "1"}, by="Old <old@bank.example>")
    since = kept.commit({"policy/a.rego": "2"}, by="Older <older@bank.example>")
    kept.commit({"policy/a.rego": "2", "b": "x"}, by="Beside <beside@bank.example>")
    kept.commit(
        {"policy/a.rego": "3", "b": "x"},
        by="New <New@Bank.example>",
        message="Change\n\nCo-authored-by: Pair <pair@bank.example>\n",
    )
    head = repository.read(place(kept, folder="policy"), since=since, after=None)
    assert {one.email for one in head.writers} == {"new@bank.example", "pair@bank.example"}


@pytest.mark.parametrize(
    "address", ["ssh://git@bank.example/policy", "ext::sh -c id", "git@bank.example:policy"]
)
def test_other_schemes_are_refused_before_anything_is_reached(address):
    with pytest.raises(RepositoryUnreachable):
        repository.head(place(address))
    with pytest.raises(Misconfigured, match="COUNTERSIGN_POLICY_REPOSITORY must be"):
        read({"COUNTERSIGN_POLICY_REPOSITORY": address})


def test_a_password_in_an_address_is_never_said(kept, bank, set_to):
    with served(kept) as address:
        secret = address.replace("http://", "http://bot:hunter2@")
    set_to(secret)  # nobody answers there any more
    source = commits.sync(by=TEST)
    assert source.problem
    told = str(list(PolicySource.objects.values())) + "".join(
        bytes(one.body).decode() for one in Entry.objects.all()
    )
    assert "hunter2" not in told
    assert "127.0.0.1" in told


# --- seeing a commit --------------------------------------------------------------------------------------------


def test_a_sound_commit_is_kept_once_and_judges_nothing(synced, bank):
    seen = synced(SOUND)
    commits.sync(by=TEST)
    assert (seen.faults, [one["id"] for one in seen.rules]) == ([], ["owner-agrees"])
    assert seen.digest == bundles.digest(SOUND)
    assert bundles.active() == bank.bundle
    assert kinds() == ["policy.synced"]


@pytest.mark.parametrize(
    ("files", "faults"),
    [
        ({**SOUND, "owner.rego": BROKEN}, [("owner.rego", 18)]),
        ({**SOUND, "owner.rego": UNNAMED}, [("owner.rego", 7)]),
        ({**SOUND, "owner.rego": TWICE}, [("owner.rego", 27)]),
        ({**SOUND, "owner_test.rego": FAILING}, [("owner_test.rego", 7)]),
        ({"owner.rego": RULES}, [("", 0)]),
        (
            {**SOUND, "owner.rego": BROKEN, "owner_test.rego": "package"},
            [("owner.rego", 18), ("owner_test.rego", 1)],
        ),
        (
            {**SOUND, "owner.rego": UNNAMED, "owner_test.rego": FAILING},
            [("owner.rego", 7), ("owner_test.rego", 7)],
        ),
        ({**SOUND, "owner_test.rego": GREEDY}, [("owner_test.rego", 11)]),
        ({**SOUND, "more.rego": "package more\n\n# a\0b\n"}, [("more.rego", 3)]),
    ],
    ids=[
        "syntax", "metadata", "double id", "failing test", "no test", "two files", "lint and test",
        "a test that takes its process with it", "a NUL in a comment",
    ],
)  # fmt: skip
def test_a_broken_commit_never_takes_effect_and_says_every_place(synced, bank, files, faults):
    seen = synced(files)
    assert [(one["file"], one["line"]) for one in seen.faults] == faults
    assert all(one["message"] for one in seen.faults)
    assert kinds() == ["policy.refused"]
    with pytest.raises(PolicyRefused, match="No sound commit"):
        commits.examined(seen.digest)
    assert bundles.active() == bank.bundle


def test_a_process_that_is_killed_says_nothing_about_the_commit(synced, kept, bank, monkeypatch):
    """The machine was short of memory, say: the same commit is looked at again a minute later."""

    def killed(self, sources):
        raise PolicyUnavailable("the policy process was stopped because it was killed")

    with monkeypatch.context() as patched:
        patched.setattr(pool.Pool, "test", killed)
        kept.commit(SOUND)
        assert "was killed" in commits.sync(by=TEST).problem
    assert not PolicyCommit.objects.exists()
    assert commits.sync(by=TEST).problem == ""
    assert PolicyCommit.objects.get().faults == []


def test_a_repository_that_is_damaged_is_told_like_one_that_is_away(synced, kept, bank):
    synced(SOUND)
    commit = kept.commit({**SOUND, "more.rego": "package more\n"})
    lost = kept.path / "objects" / commit[:2] / commit[2:]
    lost.chmod(0o600)
    lost.write_bytes(b"no object")
    assert "could not be read" in commits.sync(by=TEST).problem
    assert bundles.active() == bank.bundle


def test_a_broken_head_does_not_hide_the_sound_one_before_it(synced):
    sound = synced(SOUND)
    synced({**SOUND, "owner.rego": BROKEN})
    assert commits.examined(sound.digest).digest == sound.digest


def test_a_rewritten_history_is_said(synced):
    synced(SOUND)
    seen = synced({**SOUND, "more.rego": "package more\n"}, after=None)
    assert ["history was rewritten" in one["message"] for one in seen.warnings] == [True]


def test_a_branch_that_is_gone_is_told_with_when_it_last_answered(synced, kept, bank):
    synced(SOUND)
    answered = PolicySource.objects.get().answered_at
    kept.delete("main")
    commits.sync(by=TEST)
    source = commits.sync(by=TEST)
    assert "no branch main" in source.problem
    assert source.answered_at == answered
    assert kinds() == ["policy.synced", "policy.unreachable"]
    assert bundles.active() == bank.bundle


def test_a_repository_that_answers_again_is_told_once(synced, kept):
    kept.commit(SOUND, branch="other")
    assert commits.sync(by=TEST).problem
    synced(SOUND)
    assert kinds() == ["policy.unreachable", "policy.synced", "policy.reachable"]


def test_without_a_repository_nothing_is_read(bank, settings):
    settings.POLICY_REPOSITORY = ""
    with pytest.raises(commits.NoPolicyRepository):
        commits.sync(by=TEST)


def test_a_kept_commit_is_never_rewritten(synced):
    seen = synced(SOUND)
    with pytest.raises(DatabaseError, match="changed without a new version"), transaction.atomic():
        PolicyCommit.objects.filter(pk=seen.pk).update(sources={})


def test_the_head_of_any_branch_is_a_candidate_and_no_commit_that_could_judge(synced, kept, set_to):
    synced(SOUND)
    stricter = {**SOUND, "more.rego": "package more\n"}
    commit = kept.commit(stricter, branch="stricter")
    with served(kept) as address:
        for source in (kept, address):
            set_to(source)
            found = candidates.chosen("", branch="stricter")
            assert (found.sources, candidates.name(found)) == (stricter, f"Branch stricter at {commit[:10]}")
    with pytest.raises(PolicyRefused, match="No sound commit"):
        commits.sound(found.digest)


@pytest.mark.parametrize(
    ("branch", "refusal", "says"),
    [
        ("nowhere", RepositoryUnreachable, "no branch nowhere"),
        ("\ud800", RepositoryUnreachable, "could not be read"),
        ("linked", PolicyRefused, "Branch linked, a.rego:0: It is a link"),
        ("broken", PolicyRefused, "owner.rego:18"),
    ],
)
def test_a_branch_that_cannot_judge_is_refused_by_file_and_line(synced, kept, branch, refusal, says):
    synced(SOUND)
    kept.commit({"a.rego": "/etc/passwd"}, branch="linked", modes={"a.rego": 0o120000})
    kept.commit({**SOUND, "owner.rego": BROKEN}, branch="broken")
    with pytest.raises(refusal, match=says):
        candidates.chosen("", branch=branch)


def test_without_a_repository_no_branch_is_a_candidate(bank):
    with pytest.raises(Invalid, match="No repository is set"):
        candidates.chosen("", branch="main")


# --- letting it judge -------------------------------------------------------------------------------------------


def test_an_approved_commit_judges_as_the_next_serial_once(synced, bank):
    seen = synced(SOUND)
    bundle = commits.activate(commits.examined(seen.digest), by=TEST)
    assert (bundle.serial, bundle.source) == (bank.bundle.serial + 1, f"main {seen.commit[:12]}")
    assert commits.activate(commits.examined(seen.digest), by=TEST) == bundle
    assert bundles.active() == bundle


def test_d08_going_back_is_a_new_serial_and_never_the_old_row(synced):
    first = synced(SOUND)
    second = synced({**SOUND, "more.rego": "package more\n"})
    old = commits.activate(commits.examined(first.digest), by=TEST)
    commits.activate(commits.examined(second.digest), by=TEST)
    with pytest.raises(PolicyRefused, match="Going back is a governed act"):
        bundles.activate(bundles.examine(SOUND), source="a folder", by=TEST)
    again = commits.activate(commits.examined(first.digest), by=TEST)
    assert (again.digest, again.serial) == (old.digest, old.serial + 2)
    assert bundles.active() == again
    assert Bundle.objects.filter(digest=old.digest).count() == 2


def test_d07_files_altered_in_the_database_are_refused(synced):
    seen = synced(SOUND)
    sql("""UPDATE approvals_policycommit SET sources = sources || '{"x.rego": "package x"}'""")
    with pytest.raises(PolicyRefused, match="somebody altered them"):
        commits.examined(seen.digest)


def test_d07_an_activated_bundle_altered_in_the_database_decides_nothing(synced):
    seen = synced(SOUND)
    bundle = commits.activate(commits.examined(seen.digest), by=TEST)
    sql("UPDATE approvals_bundle SET serial = serial + 1 WHERE id = %s", bundle.pk)
    with pytest.raises(PolicyUnavailable, match="not what was signed"):
        bundles.active()


def test_d01_the_authors_of_a_bundle_are_known_by_their_e_mail_whatever_its_case(synced):
    mara = person("Mara")
    sql("UPDATE accounts_user SET email = 'Mara@Bank.Example' WHERE id = %s", mara.pk)
    person("Nobody's namesake")  # without an e-mail, as many commits name nobody
    seen = synced(SOUND, by="Somebody <mara@bank.example>", message="x\n\nCo-authored-by: Eve <>\n")
    assert commits.authors_of(seen.digest) == [mara]
    assert [(one["name"], one["user"]) for one in seen.authors] == [("Eve", None), ("Somebody", str(mara.pk))]


def test_d01_an_author_stays_one_after_changing_their_e_mail(synced):
    mara = person("Mara")
    sql("UPDATE accounts_user SET email = 'mara@bank.example' WHERE id = %s", mara.pk)
    seen = synced(SOUND)
    sql("UPDATE accounts_user SET email = 'other@bank.example' WHERE id = %s", mara.pk)
    assert commits.authors_of(seen.digest) == [mara]


def test_authors_since_the_commit_that_judges_count_however_many_heads_were_seen(synced):
    first = synced(SOUND, by="First <first@bank.example>")
    commits.activate(commits.examined(first.digest), by=TEST)
    synced({**SOUND, "more.rego": "package more\n"}, by="Second <second@bank.example>")
    third = synced({**SOUND, "more.rego": "package more2\n"}, by="Third <third@bank.example>")
    assert [one["name"] for one in third.authors] == ["Second", "Third"]


def test_the_settings_of_these_tests_name_no_repository():
    assert settings.POLICY_REPOSITORY == ""


# --- the pages --------------------------------------------------------------------------------------------------


@pytest.fixture
def shown(client, bank):
    client.force_login(bank.noor, backend="django.contrib.auth.backends.ModelBackend")
    return lambda path: client.get(path).content.decode()


def test_the_page_of_a_broken_commit_shows_the_line_and_no_button(synced, shown):
    seen = synced({**SOUND, "owner.rego": BROKEN}, message="Half a thought")
    listed, text = shown("/policies/"), shown(f"/policies/commits/{seen.commit}/")
    assert "Half a thought" in listed
    assert "owner.rego:18" in listed
    assert "owner.rego:18" in text
    assert "deny := [" in text
    assert "Ask for activation" not in text


def test_the_page_of_a_sound_commit_shows_what_it_would_change_and_asks(synced, shown):
    seen = synced(SOUND)
    text = shown(f"/policies/commits/{seen.commit}/")
    assert "Security agrees to critical services in production" in text  # a rule that goes
    assert "The owner agrees" in text
    asked = f"/workflows/policy-activate/new/?{urlencode({**ASKED, 'inputs.bundle': seen.digest})}"
    assert escape(asked) in text
    assert "mara@bank.example: no account has this e-mail" in text


def test_a_repository_that_is_away_is_shown_with_when_it_last_answered(synced, kept, shown):
    synced(SOUND)
    kept.delete("main")
    commits.sync(by=TEST)
    text = shown("/policies/")
    assert "The newest commit could not be looked at" in text
    assert "last read" in text


@pytest.mark.django_db(transaction=True)
def test_only_an_admin_reads_the_repository_at_once(synced, client, bank, shown):
    synced(SOUND)
    assert client.post("/policies/sync/").status_code == 403
    sql("UPDATE accounts_user SET is_superuser = true WHERE id = %s", bank.noor.pk)
    assert client.post("/policies/sync/").status_code == 302
