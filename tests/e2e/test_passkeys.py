"""Passkeys in a real browser with its own virtual authenticator: enrolled, vouched for, and signed with."""

import re

import pytest
from playwright.sync_api import expect

from tests.e2e import playing
from tests.faults.product import manage
from tests.stack import running

pytestmark = [pytest.mark.browser, pytest.mark.faults]
LATE = 20_000  # ms; a step that is slow on a busy machine


@pytest.fixture(scope="module")
def stack():
    with running(demo=True) as stack:
        yield stack


@pytest.fixture
def person(browser, stack):
    contexts = []

    def page_of(name, *, device=False):
        page = playing.person(browser, stack.url, name)
        contexts.append(page.context)
        if device:
            authenticator(page)
        return page

    yield page_of
    for context in contexts:
        context.close()


def authenticator(page, *, finger=True):
    """A device that asks for a finger, and gets it or not."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    session.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": finger,
                "automaticPresenceSimulation": True,
            }
        },
    )
    return session


def enrol(page, name):
    page.goto("/me/passkeys/")
    page.fill("#f-name", name)
    page.get_by_role("button", name="Enrol").click()
    expect(page.locator("table.rows")).to_contain_text("Waits for somebody to vouch")
    return page.locator("table.rows .mono").first.inner_text()


def decide(page, key):
    page.goto(f"/changes/{key}/")
    for flag in page.locator("[data-flag]").all():
        flag.click()
    page.locator("input[name=decision][value=approve]").check()
    page.fill("#comment", "Asked Lena on the phone: it is hers.")
    page.locator("[data-decide-button]").click()


def test_a_key_is_enrolled_trusted_at_the_terminal_and_vouches_for_the_next(stack, person):
    noor, lena, sam = (
        person("Noor Haddad", device=True),
        person("Lena Falk", device=True),
        person("Sam Okoye"),
    )
    enrol(noor, "Phone")
    code, said, problem = manage(stack, "passkey", "trust", "noor")
    assert (code, problem) == (0, "")
    assert "Noor Haddad can sign with Phone now (localhost)." in said
    noor.reload()
    expect(noor.locator("table.rows")).to_contain_text("Trusted")

    hers = enrol(lena, "Laptop")
    lena.goto("/workflows/passkey-enrol/new/")
    lena.select_option("#f-inputs-account", "lena")
    lena.select_option("#f-inputs-passkey", hers)
    lena.fill("#f-reason", "My new laptop.")
    key = playing.submit(lena)
    decide(sam, key)
    expect(sam.locator("#timeline")).to_contain_text("approved as")

    noor.goto(f"/changes/{key}/")
    expect(noor.locator("#decide-why")).to_contain_text(
        re.compile(f"Choose one|it signs your decision on revision 1 of {key}")
    )
    decide(noor, key)
    expect(noor.locator("#timeline")).to_contain_text("Noor Haddad", timeout=LATE)
    expect(lena.locator("#part-head")).to_contain_text("Succeeded", timeout=LATE)
    lena.goto("/me/passkeys/")
    expect(lena.locator("table.rows")).to_contain_text("Trusted")


def test_a_device_that_gets_no_finger_is_told_in_words_and_nothing_is_stored(stack, person):
    tomas = person("Tomas Ek")
    authenticator(tomas, finger=False)
    tomas.goto("/me/passkeys/")
    tomas.fill("#f-name", "Laptop")
    tomas.get_by_role("button", name="Enrol").click()
    expect(tomas.locator("[data-enrol-error]")).to_contain_text(
        "It was cancelled, took too long", timeout=LATE
    )
    tomas.reload()
    expect(tomas.locator("main")).to_contain_text("No passkey yet")
