"""Secrets that another place keeps: files of the workers' machine, and a Vault, which may be away."""

import os

import pytest

from audit.refusals import Invalid
from orchestration.models import Secret, Step
from orchestration.secrets import files, store, vault
from orchestration.secrets.provider import Gone, Unreachable
from orchestration.secrets.references import SecretsUnreachable
from tests.abuse.attack import Case, printed, state, work
from tests.orchestration.test_secrets import SCOPE, VALUE, reading, told
from tests.vault import LOOKS, READS, Vault

LATEST = "{DB_PASSWORD: {path: payments/db-password, version: latest}}"


@pytest.fixture
def folder(tmp_path, settings):
    settings.SECRETS_FOLDER = tmp_path / "secrets"
    place = tmp_path / "secrets" / "payments" / "db-password"
    place.mkdir(parents=True)
    (place / "1").write_text(VALUE)
    return place


@pytest.fixture
def kept(tmp_path, settings):
    """A Vault with one secret, and the two tokens: the web server's reads metadata only."""
    found = Vault()
    found.put("payments/db", password=VALUE)
    for name, token in (("VAULT_TOKEN_PATH", READS), ("VAULT_METADATA_TOKEN_PATH", LOOKS)):
        (tmp_path / name).write_text(token + "\n")
        setattr(settings, name, tmp_path / name)
    settings.VAULT_ADDRESS = found.address
    yield found
    found.close()


def registered(case, provider, source):
    given = {"owner": case.bank.teams["payments"], "scope": SCOPE, "by": case.bank.people["sam"].actor}
    return store.install(path="payments/db-password", provider=provider, source=source, **given)


@pytest.fixture
def case(transactional_db):
    return Case(reading())


# --- files ------------------------------------------------------------------------------------------------------


def test_a_file_is_read_by_the_step_that_was_signed_off_with_it_and_not_its_successor(case, folder):
    registered(case, "files", "payments/db-password")
    change = case.approved()
    (folder / "2").write_text("another-value-entirely")
    work()
    assert state(change) == "succeeded"
    assert printed().split() == [str(len(VALUE)), "***"]
    assert told("secret.handed_over")["secrets"][0]["version"].startswith("1-")


def test_a_file_that_was_overwritten_under_its_number_is_not_what_was_signed_off(case, folder):
    registered(case, "files", "payments/db-password")
    change = case.approved()
    (folder / "1").write_text(VALUE[::-1])
    os.utime(folder / "1", ns=(1, 1))
    work()
    assert printed() == ""
    assert "the file of version 1 was replaced since" in Step.objects.get().attempts.get().reason
    assert state(change) == "failed"


def test_a_file_that_is_gone_stops_the_step_whatever_lies_beside_it(case, folder):
    registered(case, "files", "payments/db-password")
    change = case.approved()
    (folder / "1").rename(folder / "2")
    work()
    assert printed() == ""
    assert state(change) == "failed"


def test_to_know_a_version_takes_no_right_to_read_it(folder, monkeypatch):
    monkeypatch.setattr("builtins.open", lambda *_: pytest.fail("it was read"))
    assert files.current(str(folder.parents[1]), "payments/db-password").startswith("1-")


def test_no_source_leads_out_of_the_folder(folder, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "1").write_text("not yours")
    (folder.parent / "link").symlink_to(tmp_path / "outside")
    for source in ("../outside", "payments/link", str(tmp_path / "outside")):
        with pytest.raises(Gone):
            files.current(str(folder.parents[1]), source)
    with pytest.raises(Unreachable):
        files.current(str(tmp_path / "nowhere"), "payments/db-password")


# --- a Vault ----------------------------------------------------------------------------------------------------


def test_a_vault_gives_exactly_the_version_that_was_signed_off(case, kept):
    registered(case, "vault", "payments/db#password")
    change = case.approved()
    kept.put("payments/db", password="another-value-entirely")
    work()
    assert state(change) == "succeeded"
    assert printed().split() == [str(len(VALUE)), "***"]
    data = [token for token, path in kept.asked if path.startswith("/v1/secret/data/")]
    assert data == [READS]  # once, by the opener; whoever asked for the change looked at metadata only
    assert {token for token, path in kept.asked if "/metadata/" in path} == {LOOKS}


def test_latest_of_a_vault_is_looked_up_at_the_start_and_told(transactional_db, kept):
    case = Case(reading(secrets=LATEST))
    registered(case, "vault", "payments/db#password")
    case.approved()
    kept.put("payments/db", password="another-value-entirely")
    work()
    assert printed().split() == [str(len("another-value-entirely")), "***"]
    handed = told("secret.handed_over")["secrets"][0]
    assert (handed["version"], handed["latest"]) == ("2", True)


def test_f39_a_vault_that_does_not_answer_costs_the_step_no_try_and_starts_nothing(case, kept, sound):
    """The step is `at_most_once` and has no retries: nothing was started, so it may be tried again all the same."""
    registered(case, "vault", "payments/db#password")
    change = case.approved()
    kept.sealed = True
    for _ in range(3):
        work()
    step = Step.objects.get()
    assert (step.state, printed()) == ("ready", "")
    assert {one.outcome for one in step.attempts.all()} == {"unstarted"}
    assert "the Vault answers with status 503" in step.attempts.get(number=1).reason
    kept.sealed = False
    work()
    assert printed().split() == [str(len(VALUE)), "***"]
    assert state(change) == "succeeded"


def test_f39_a_try_that_was_really_made_counts_as_before(transactional_db, kept, sound):
    case = Case(
        reading("exit 1")
        .replace("secrets:", "retries: 1, effect: idempotent, secrets:")
        .replace(
            "      retries: 1, effect: idempotent, secrets",
            "      retries: 1\n      effect: idempotent\n      secrets",
        )
    )
    registered(case, "vault", "payments/db#password")
    change = case.approved()
    kept.sealed = True
    work()
    kept.sealed = False
    for _ in range(3):
        work()
    assert [one.outcome for one in Step.objects.get().attempts.all()] == ["unstarted", "failed", "failed"]
    assert state(change) == "failed"


def test_f39_whoever_asks_while_it_is_away_is_told_to_come_back(case, kept, sound):
    registered(case, "vault", "payments/db#password")
    kept.close()
    with pytest.raises(SecretsUnreachable, match="the Vault does not answer; nothing was done"):
        case.bank.asked()
    kept.server.server_close()


def test_f39_latest_of_a_vault_that_is_away_holds_the_step_without_a_try(transactional_db, kept, sound):
    case = Case(reading(secrets=LATEST))
    registered(case, "vault", "payments/db#password")
    case.approved()
    kept.sealed = True
    work()
    step = Step.objects.get()
    assert (step.attempt, step.state) == (0, "ready")
    assert "the Vault answers with status 503" in step.held_reason


@pytest.mark.parametrize(
    ("meanwhile", "said"),
    [
        (lambda kept: kept.versions["payments/db"].__setitem__(0, None), "does not have this version"),
        (lambda kept: kept.versions["payments/db"][0].pop("password"), "no text under password"),
        (lambda kept: kept.versions["payments/db"][0].update(password=""), "at least 4 characters"),
        (lambda kept: kept.versions["payments/db"][0].update(password="abc"), "cannot be masked"),
    ],
)
def test_a_step_is_never_started_with_nothing_or_with_what_cannot_be_masked(case, kept, meanwhile, said):
    registered(case, "vault", "payments/db#password")
    change = case.approved()
    meanwhile(kept)
    work()
    assert printed() == ""
    assert said in Step.objects.get().attempts.get().reason
    assert state(change) == "failed"


def test_a_token_that_may_not_read_says_so_and_a_redirect_is_not_followed(kept, settings):
    given = {"address": kept.address, "mount": "secret", "source": "payments/db#password", "version": "1",
             "token_file": str(settings.VAULT_METADATA_TOKEN_PATH), "ca_file": ""}  # fmt: skip
    with pytest.raises(Gone, match="may not read"):
        vault.value(given)
    with pytest.raises(Unreachable):
        vault.value({**given, "token_file": "/nowhere"})


@pytest.mark.parametrize(
    ("provider", "source"),
    [
        ("files", ""),
        ("files", "../etc"),
        ("files", "/etc"),
        ("vault", "a/../b"),
        ("vault", "a?version=1"),
        ("store", "x"),
    ],
)
def test_where_it_lies_is_a_plain_name(case, provider, source):
    with pytest.raises(Invalid, match="Say where it lies"):
        registered(case, provider, source)
    assert not Secret.objects.exists()
