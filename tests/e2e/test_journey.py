"""The whole product in a real browser: asked for, countersigned by two people, run live, proved. Real processes."""

import re
from http.client import HTTPConnection

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.e2e import playing
from tests.e2e.playing import approve, ask, submit
from tests.stack import running

pytestmark = [pytest.mark.browser, pytest.mark.faults]
LATE = 20_000  # ms; a step that is slow on a busy machine
PAGES = {
    "Mara Lindqvist": ("/inbox/", "/inbox/requests/", "/workflows/", "/workflows/deploy-service/",
                       "/workflows/deploy-service/new/", "/changes/",
                       "/runs/", "/runs/RUN-1/", "/environments/", "/me/", "/policies/", "/nothing/here/"),
    "Noor Haddad": ("/inbox/", "/changes/CHG-1/", "/audit/", "/audit/?q=actor:noor", "/audit/1/",
                    "/compliance/", "/compliance/metrics/",
                    "/compliance/controls/CT-01/", "/people/"),
}  # fmt: skip


@pytest.fixture(scope="module")
def stack():
    with running(demo=True) as stack:
        yield stack


@pytest.fixture
def person(browser, stack):
    """A page of this person, in a browser of their own that has seen nothing else."""
    contexts = []

    def page_of(name, **options):
        page = playing.person(browser, stack.url, name, **options)
        contexts.append(page.context)
        return page

    yield page_of
    for context in contexts:
        context.close()


def run_to_its_end(mara, person, key):
    """Both approve, while Mara only looks."""
    for reviewer in ("Lena Falk", "Noor Haddad"):
        approve(person(reviewer), key)
    expect(mara.locator("#part-head")).to_contain_text("Succeeded", timeout=LATE)


def test_a_change_is_asked_for_countersigned_run_live_and_proved(stack, person):
    before = counted(person("Noor Haddad"))
    mara = person("Mara Lindqvist")
    ask(mara, environment="staging")
    preview = mara.locator("#preview")
    expect(preview).not_to_contain_text("2 approvals")
    mara.check("input[value=production]")
    expect(preview).to_contain_text("This needs 2 approvals: Security and Service owner")
    expect(preview).to_contain_text("You cannot approve this yourself")
    key = submit(mara)

    rail = mara.locator("#part-rail")
    expect(rail).to_contain_text("You requested this change, so someone else must approve it")
    assert rail.locator("form").count() == 0
    mara.evaluate("window.stayed = true")

    run_to_its_end(mara, person, key)
    assert mara.evaluate("window.stayed"), "the page went live without being loaded again"
    expect(mara.locator("#part-run")).to_contain_text("5 of 5 steps done")
    expect(mara.locator("#timeline")).to_contain_text("A worker finished it: succeeded")
    expect(mara.locator("#part-log")).to_contain_text("2026.48")

    noor = person("Noor Haddad")
    noor.goto(f"/changes/{key}/")
    permit = noor.locator("#timeline li", has_text="issued the permit").locator("a.seq")
    permit.click()
    expect(noor.get_by_role("heading", name="Permit issued")).to_be_visible()
    expect(noor.locator(".proof")).to_contain_text("is in the log and unchanged", timeout=LATE)
    expect(noor.locator(".proof")).to_contain_text("It is included in the checkpoint")
    signed = noor.request.get(f"/api/v1/runs/{run_of(mara)}/permit/").json()
    assert signed["authentic"] is True

    after = counted(noor)
    assert after == (before[0] + 1, before[1] + 1), "one more run, and it passed"
    noor.goto("/compliance/controls/CT-01/")
    row = noor.locator("tr", has_text=key)
    expect(row).to_contain_text("Passed")
    expect(row).to_contain_text("Approved, and permitted for exactly this content")
    page = mara.request.get("/demo/site/production/web-bank/").text()
    assert "2026.48" in page, "the step really changed what is served"


def counted(page):
    """How many runs CT-01 looked at, and how many passed."""
    page.goto("/compliance/")
    row = page.locator("tr", has_text="CT-01,")
    return tuple(int(row.locator(f"[data-label={label}]").inner_text()) for label in ("Population", "Passed"))


def run_of(page):
    return page.locator("#part-head a[href^='/runs/']").inner_text()


def test_the_requester_is_refused_by_the_server_too_and_the_attempt_is_in_the_log(stack, person):
    mara = person("Mara Lindqvist")
    ask(mara, version="2026.49")
    key = submit(mara)
    change = mara.request.get(f"/api/v1/changes/{key}/").json()
    stage = change["chain"]["stages"][0]
    token = next(one["value"] for one in mara.context.cookies() if one["name"] == "csrftoken")
    answer = mara.request.post(
        f"/api/v1/changes/{key}/sign-offs/",
        data={"stage": stage["id"], "decision": "approve", "digest": change["digest"],
              "chain_digest": change["chain"]["digest"], "comment": ""},
        headers={"X-CSRFToken": token, "Idempotency-Key": "own"},
    )  # fmt: skip
    assert (answer.status, answer.json()["code"]) == (403, "own_change")
    refused = "SELECT count(*) FROM audit_entry WHERE kind = 'attempt.refused' AND subject = %s"
    assert stack.query(refused, key) == [(1,)]


def test_an_auditor_goes_through_the_log_by_keys_and_hears_what_is_new(person):
    noor = [person("Noor Haddad") for _ in range(3)][-1]  # each time an entry of this search
    noor.goto("/audit/?q=actor:system:welcome")
    noor.keyboard.press("j")
    noor.keyboard.press("j")
    second = noor.locator("[data-list] tr.here a.mono").first.inner_text()
    noor.keyboard.press("Enter")
    expect(noor.get_by_role("heading", name="Persona switched")).to_be_visible()
    expect(noor).to_have_url(re.compile(f"/audit/{second}/"))
    noor.keyboard.press("[")
    expect(noor).not_to_have_url(re.compile(f"/audit/{second}/"))
    noor.keyboard.press("]")
    expect(noor).to_have_url(re.compile(f"/audit/{second}/"))
    noor.get_by_role("link", name="actor:system:welcome").click()
    first = noor.locator("[data-list] a.mono").first.inner_text()
    person("Mara Lindqvist")  # one more entry of this search, beside our own
    news = noor.get_by_role("link", name=re.compile("[0-9] new entr(y|ies), show"))
    expect(news).to_be_visible(timeout=LATE)
    assert noor.locator("[data-list] a.mono").first.inner_text() == first, "nothing moved meanwhile"
    news.click()
    expect(noor.locator("[data-list] a.mono").first).not_to_have_text(first)
    noor.keyboard.press("/")
    expect(noor.get_by_label("Search the audit log")).to_be_focused()
    noor.keyboard.press("Escape")
    noor.locator("h1").click()
    noor.keyboard.press("s")
    noor.get_by_label("Name").fill("Who came in")
    noor.get_by_role("button", name="Save", exact=True).click()
    expect(noor.get_by_role("link", name="Who came in")).to_have_attribute("aria-current", "page")


def test_the_page_is_right_without_a_socket(person):
    mara = person("Mara Lindqvist")
    mara.route_web_socket(re.compile(".*"), lambda socket: socket.close())
    ask(mara, version="2026.50")
    key = submit(mara)
    mara.evaluate("window.stayed = true")
    run_to_its_end(mara, person, key)
    assert mara.evaluate("window.stayed")


@pytest.mark.parametrize("origin", ["https://evil.example", None])
def test_a_socket_is_refused_to_a_foreign_page_and_to_nobody(stack, person, origin):
    cookies = person("Mara Lindqvist").context.cookies()
    session = "; ".join(f"{one['name']}={one['value']}" for one in cookies)
    who = {"Origin": origin, "Cookie": session} if origin else {"Origin": stack.url}
    assert shake_hands(stack, who) == 403
    assert shake_hands(stack, {"Origin": stack.url, "Cookie": session}) == 101


def shake_hands(stack, headers):
    connection = HTTPConnection("localhost", stack.port, timeout=10)
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    connection.request(
        "GET", "/ws/", headers={**upgrade, "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", **headers}
    )
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_no_page_has_a_fault_that_axe_finds_or_scrolls_sideways(person, name, scheme):
    page = person(name, color_scheme=scheme, bypass_csp=True)
    for path in PAGES[name]:
        page.goto(path)
        expect(page.locator("#preview[aria-busy=true]")).to_have_count(0)  # dimmed while it asks
        page.wait_for_timeout(200 if path.endswith("/new/") else 0)  # it fades in
        found = Axe().run(page).response["violations"]
        assert [(one["id"], [node["html"][:300] for node in one["nodes"]]) for one in found] == [], path
        for width in (1280, 390, 320):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
        page.set_viewport_size({"width": 1280, "height": 800})


def test_keys_move_open_and_explain_and_none_decides(person):
    noor = person("Noor Haddad")
    noor.goto("/changes/")
    for key in "jjkj":
        noor.keyboard.press(key)
    second = (
        noor.locator("[data-list] tbody tr:not(.group), [data-list] > li").nth(1).locator("a[href]").first
    )
    where = second.get_attribute("href")
    noor.keyboard.press("Enter")
    expect(noor).to_have_url(re.compile(re.escape(where)))
    noor.keyboard.press("?")
    expect(noor.locator("#keys")).to_be_visible()
    noor.keyboard.press("Escape")
    noor.keyboard.press("Control+k")
    assert noor.evaluate("document.activeElement.type") in {"search", "text"}


def test_what_would_change_is_found_out_reviewed_and_exactly_that_is_applied(person, stack):
    ines = person("Ines Prado")
    ines.goto("/workflows/firewall-rules/new/")
    ines.select_option("#f-service", "edge-gateway")
    ines.check("input[value=production]")
    ines.check("input[value=Close]")
    ines.fill("#f-inputs-port", "22")
    ines.fill("#f-inputs-source", "10.0.0.0/8")
    ines.fill("#f-reason", "Nobody logs in from there any more.")
    key = submit(ines)
    expect(ines.locator("#found")).to_contain_text("-allow 22 from 10.0.0.0/8", timeout=LATE)
    expect(ines.locator("#part-planning")).to_be_hidden(timeout=LATE)
    expect(ines.locator("#part-head")).to_contain_text("Waiting for approval", timeout=LATE)  # by itself
    expect(ines.locator("#part-rail")).to_contain_text("Security")
    for reviewer in ("Sam Okoye", "Noor Haddad"):
        page = person(reviewer)
        page.goto(f"/changes/{key}/")
        expect(page.locator("[data-flags]")).to_contain_text("allow 22 from 10.0.0.0/8")
        approve(page, key)
    expect(ines.locator("#part-head")).to_contain_text("Succeeded", timeout=LATE)
    rules = stack.home / "demo/envs/production/edge-gateway/firewall.rules"
    assert rules.read_text() == "allow 443 from 0.0.0.0/0\ndeny all\n"
    found = Axe().run(ines)
    assert found.response["violations"] == [], found.generate_report()


def test_a_change_is_rolled_back_with_one_button_and_a_reason(person):
    mara = person("Mara Lindqvist")
    served = []
    for version in ("2026.60", "2026.61"):
        ask(mara, version=version)
        run_to_its_end(mara, person, submit(mara))
        served.append(mara.request.get("/demo/site/production/web-bank/").text())
    assert "2026.61" in served[1]

    mara.get_by_role("link", name="Roll back").click()
    expect(mara.locator("#preview")).to_contain_text("This needs 2 approvals")
    mara.fill("#f-reason", "It shows the wrong rates.")
    mara.get_by_role("button", name="Ask for the rollback").click()
    expect(mara.locator("#part-head")).to_contain_text("Roll back CHG-")
    run_to_its_end(mara, person, mara.url.rstrip("/").rsplit("/", 1)[1])
    assert mara.request.get("/demo/site/production/web-bank/").text() == served[0]
    assert Axe().run(mara).violations_count == 0
