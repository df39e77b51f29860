"""The key of the workers is replaced: nothing signed off is lost, an ended rotation goes on, and the old key may go."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from audit.canonical import parse
from audit.models import Entry
from orchestration.models import SecretVersion
from orchestration.secrets import envelope, rotation, store
from orchestration.secrets.providers import sealed_of
from orchestration.secrets.rotation import KeyNotHeld
from tests import kept
from tests.abuse.attack import Case, printed, work
from tests.approvals.cast import sql
from tests.factories import TEST
from tests.orchestration.test_secrets import VALUE, reading, stored


@pytest.fixture
def case(transactional_db, settings, tmp_path, monkeypatch):
    settings.KEY_DIR = tmp_path / "keys"  # others of this run seal for the common one
    monkeypatch.setattr(kept, "_kept", {})  # and theirs is signed by it
    return Case(reading())


def rotated(*flags):
    out = StringIO()
    call_command("secret", "rotate-key", *flags, stdout=out)
    return out.getvalue()


def digests():
    return {one.pk: sealed_of(one).digest for one in SecretVersion.objects.filter(destroyed_at=None)}


def test_a_change_that_was_signed_off_before_runs_after_the_old_key_is_destroyed(case, settings):
    secret = stored(case.bank)
    case.approved()
    before, (old,) = digests(), envelope.held(settings.KEY_DIR)
    assert "1 values are sealed for" in rotated()
    assert digests() == before
    (settings.KEY_DIR / "worker/secrets.key").unlink()
    work()
    assert printed() == f"{len(VALUE)}\n***"
    store.write(secret, "another-value", by=case.bank.people["mara"])
    (newest,) = envelope.held(settings.KEY_DIR)
    assert set(SecretVersion.objects.values_list("key_id", flat=True)) == {newest} != {old}


def test_each_value_and_each_key_has_its_entry_and_no_value_is_in_one(case):
    stored(case.bank)
    rotated()
    told = parse(bytes(Entry.objects.get(kind="secret_version.wrapped").body))["data"]
    assert set(told) - {"row"} == {"path", "number", "was", "key", "digest"}
    assert told["was"] != told["key"]
    for kind in ("secrets_key.made", "secrets_key.published"):
        assert parse(bytes(Entry.objects.get(kind=kind).body))["data"]["key"] == told["key"]


def test_a_rotation_that_was_ended_goes_on_with_the_same_key(case, monkeypatch):
    secret = stored(case.bank)
    for number in range(3):
        store.write(secret, f"value-{number}", by=case.bank.people["mara"])
    store.destroy(secret, 2, by=case.bank.people["mara"])
    wrap, calls = envelope.wrap_anew, []

    def ends(*args, **more):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return wrap(*args, **more)

    monkeypatch.setattr(envelope, "wrap_anew", ends)
    with pytest.raises(KeyboardInterrupt):
        rotated()
    monkeypatch.undo()
    (first, _, left), (newest, _, done) = rotation.listed()
    assert (left, done) == (1, 2)
    assert "1 values" in rotated()
    assert [(name, count) for name, _, count in rotation.listed()] == [(first, 0), (newest, 3)]
    assert "3 values" in rotated()  # what is done is done; the next one is another
    assert len(rotation.listed()) == 3


def test_the_next_key_may_be_brought_to_other_hosts_before_anything_is_sealed_for_it(case, settings):
    secret = stored(case.bank)
    assert rotated("--prepare") == rotated("--prepare")
    store.write(secret, "sealed-meanwhile", by=case.bank.people["mara"])
    assert len(set(SecretVersion.objects.values_list("key_id", flat=True))) == 1
    assert [count for *_, count in rotation.listed()] == [2, 0]
    assert "2 values" in rotated()
    out = StringIO()
    call_command("secret", "keys", stdout=out)
    assert [line.partition("held here")[2].strip() for line in out.getvalue().splitlines()] == [
        "0 sealed for it",
        "2 sealed for it",
    ]


def test_what_is_sealed_for_a_key_that_is_not_held_is_told_and_left(case, settings):
    stored(case.bank)
    lost = settings.KEY_DIR / "worker/secrets.key"
    rotated("--prepare")
    lost.rename(lost.with_suffix(".away"))
    with pytest.raises(KeyNotHeld, match="is not held here"):
        rotation.rotate(by=TEST)
    lost.with_suffix(".away").rename(lost)
    sql("UPDATE orchestration_secretversion SET key_id = %s", "0" * 16)
    with pytest.raises(CommandError, match="payments/db-password version 1: the key 0000000000000000"):
        rotated()


def test_a_web_server_rotates_nothing(case, settings):
    stored(case.bank)
    settings.SIGNS_AS = "web"
    with pytest.raises(CommandError, match="holds no key of the workers"):
        rotated()
    assert Entry.objects.filter(kind__startswith="secrets_key").count() == 0
