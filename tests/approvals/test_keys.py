"""Keys outside the database: each side of the product signs with its own, and only for what it answers for."""

import stat

import pytest

from approvals import keys
from config.embedded.layout import Layout

SAID = {"what": "this"}


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.KEY_DIR = tmp_path
    return tmp_path


@pytest.mark.parametrize("purpose", ["permit", "policy", "trust"])
def test_the_web_server_cannot_sign_what_lets_a_run_start(settings, folder, purpose):
    settings.SIGNS_AS = "web"
    with pytest.raises(keys.KeyNotHeld, match="worker does"):
        keys.sign(purpose, SAID)
    assert not list(folder.rglob("*.key"))
    assert not keys.holds(purpose)


def test_a_worker_signs_no_sign_off(settings):
    settings.SIGNS_AS = "worker"
    with pytest.raises(keys.KeyNotHeld):
        keys.sign("signoff", SAID)
    assert keys.verify("chain", SAID, keys.sign("chain", SAID)), "it may ask for a change by itself"


def test_each_side_verifies_what_the_other_has_signed(settings):
    pairs: tuple[tuple[keys.Side, keys.Purpose], ...] = (("web", "signoff"), ("worker", "permit"))
    for side, purpose in pairs:
        settings.SIGNS_AS = side
        signature = keys.sign(purpose, SAID)
        settings.SIGNS_AS = "web" if side == "worker" else "worker"
        assert keys.verify(purpose, SAID, signature)
        assert not keys.verify(purpose, {"what": "that"}, signature)


def test_a_key_that_the_web_server_publishes_for_the_workers_purpose_is_not_believed(settings, folder):
    """Whoever has the web server's folders makes a key of their own, and puts its public half there."""
    settings.SIGNS_AS = "worker"
    theirs = keys.sign("permit", SAID)
    keys._public.cache_clear()
    (folder / "public" / "worker").rename(folder / "public" / "web")
    assert not keys.verify("permit", SAID, theirs)


def test_a_private_key_is_readable_by_nobody_else(settings, folder):
    keys.sign("trust", SAID)
    path = folder / "worker" / "trust.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_keys_that_lay_in_one_folder_move_to_the_sides_that_sign_with_them(settings, tmp_path):
    layout = Layout(tmp_path / "data")
    layout.make()
    settings.KEY_DIR = layout.keys
    purposes: tuple[keys.Purpose, ...] = ("chain", "permit")
    before = {purpose: keys.sign(purpose, SAID) for purpose in purposes}
    for found in list(layout.keys.rglob("chain.*")) + list(layout.keys.rglob("permit.*")):
        found.rename(layout.keys / found.name)
    keys._private.cache_clear()
    keys._public.cache_clear()
    layout.make()
    assert {purpose: keys.verify(purpose, SAID, one) for purpose, one in before.items()} == {
        "chain": True,
        "permit": True,
    }
    assert keys.sign("permit", SAID) == before["permit"], "the same key, not a new one"
    assert sorted(one.name for one in layout.keys.iterdir()) == ["public", "secret_key", "web", "worker"]
