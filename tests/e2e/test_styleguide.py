"""Every component in a real browser: no fault for axe, no error under the strict policy, no sideways scroll.

The page is rendered by the product's own view and bundle; only the wire is played, so no server has to run.
"""

import json
import mimetypes
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.contrib.staticfiles import finders
from django.test import RequestFactory

from accounts.models import User
from config.styleguide import styleguide

pytestmark = pytest.mark.browser
HOST = "http://countersign.test"
POLICY = "; ".join(
    f"{name} {' '.join(sources)}" for name, sources in settings.CONTENT_SECURITY_POLICY["DIRECTIVES"].items()
)
NOOR = User(username="noor.haddad", name="Noor Haddad", title="Security")


def _html(theme: str) -> str:
    request = RequestFactory().get("/styleguide/")
    request.COOKIES["theme"] = theme
    request.user = NOOR
    return styleguide(request).content.decode()


def _serve(page, html: str, *, policy: str = POLICY) -> list[str]:
    """Play the server for this page; returns what the console says."""
    said: list[str] = []

    def static(route):
        path = finders.find(route.request.url.removeprefix(f"{HOST}/static/"))
        assert path, f"{route.request.url} is not built: run the asset build first"
        route.fulfill(body=Path(path).read_bytes(), content_type=mimetypes.guess_type(path)[0])

    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda problem: said.append(str(problem)))
    page.route(f"{HOST}/static/**", static)
    page.route(
        f"{HOST}/styleguide/",
        lambda route: route.fulfill(
            body=html, content_type="text/html", headers={"Content-Security-Policy": policy}
        ),
    )
    return said


@pytest.fixture
def guide(page):
    """The style guide, open, light."""
    said = _serve(page, _html("light"))
    page.goto(f"{HOST}/styleguide/")
    yield page
    assert said == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_component_has_a_fault_that_axe_finds(page, theme):
    _serve(page, _html(theme), policy="")
    page.goto(f"{HOST}/styleguide/")
    found = Axe().run(page).response["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []


@pytest.mark.parametrize("width", [320, 390, 768, 1280, 1472])
def test_the_page_never_scrolls_sideways(guide, width):
    guide.set_viewport_size({"width": width, "height": 800})
    assert guide.evaluate("document.documentElement.scrollWidth") == width


def test_the_decision_button_is_in_view_at_1280_by_800(guide):
    button = guide.locator("[data-decide-button]").bounding_box()
    assert button["y"] + button["height"] <= 800


def test_an_approval_at_high_risk_waits_for_the_flagged_items_and_a_rejection_does_not(guide):
    button = guide.locator("[data-decide-button]")
    assert button.inner_text() == "Choose a decision"
    guide.check("input[value=reject]")
    guide.fill("#comment", "The column is still read.")
    assert (button.inner_text(), button.get_attribute("aria-disabled")) == ("Reject change", "false")
    guide.check("input[value=approve]")
    assert (button.inner_text(), button.get_attribute("aria-disabled")) == (
        "Approve and start deploy",
        "true",
    )
    for link in guide.locator("[data-flag]").all():
        link.click()
    assert button.get_attribute("aria-disabled") == "false"


def test_no_single_key_decides_and_d_only_moves_the_focus(guide):
    guide.evaluate("document.activeElement.blur()")
    guide.keyboard.press("d")
    assert guide.evaluate("document.activeElement.name") == "decision"
    assert guide.locator("input[name=decision]:checked").count() == 0


def test_the_drawer_opens_on_a_narrow_screen_with_and_without_script(browser):
    for script in (True, False):
        context = browser.new_context(viewport={"width": 390, "height": 800}, java_script_enabled=script)
        page = context.new_page()
        _serve(page, _html("light"))
        page.goto(f"{HOST}/styleguide/")
        assert not page.locator("#nav").is_visible()
        page.click("[data-drawer]")
        assert page.locator("#nav").is_visible()
        context.close()


def _live(page) -> list[dict[str, object]]:
    """The style guide with a live region and a log on a played socket; returns what the page asked for."""
    facts = '<div class="card facts">'
    region = '<section id="r" data-live="/part/" data-topic="change:1" data-seq="1">'
    html = _html("light").replace(facts, f'{region}<p>one</p><input id="t"></section>{facts}', 1)
    html = html.replace('data-log=""', 'data-log="/log/" data-topic="change:1"')
    _serve(page, html)
    page.route(f"{HOST}/part/", lambda route: route.fulfill(body="<p>two</p><input id='t'>"))
    answers_of_log = iter([_lines("one", "ha"), *[_lines("one", "half", "whole")] * 9])
    page.route(f"{HOST}/log/?*", lambda route: route.fulfill(json=next(answers_of_log)))
    heard: list[dict[str, object]] = []

    def answers(socket):
        def on_message(message):
            heard.append(json.loads(message))
            socket.send(json.dumps({"topic": "change:1", "seq": 2, "kind": "change"}))

        socket.on_message(on_message)

    page.route_web_socket("**/ws/", answers)
    return heard


def _lines(*texts: str) -> dict[str, object]:
    """A window of a log, as the server answers."""
    told = [
        {"line": number, "seq": number, "stream": "stdout", "text": text, "at": "", "cut": 0}
        for number, text in enumerate(texts, start=1)
    ]
    return {"results": told, "total": len(told), "after": 0, "more": False, "ended": False}


def test_a_hint_fetches_the_region_and_the_log_shows_each_line_once(page):
    heard = _live(page)
    page.goto(f"{HOST}/styleguide/")
    page.locator("#r p", has_text="two").wait_for()
    assert heard == [{"subscribe": ["change:1"], "after": {"change:1": 1}}]
    page.locator("#L3", has_text="whole").wait_for()
    assert page.locator("[data-log-lines] .line .tx").all_inner_texts() == ["one", "half", "whole"]
    assert page.locator("[data-connection]").inner_text().strip() == "Live"


def test_a_hint_never_takes_away_what_somebody_typed(page):
    _live(page)
    page.add_init_script(
        "addEventListener('DOMContentLoaded', () => { document.getElementById('t').value = 'mine' })"
    )
    page.goto(f"{HOST}/styleguide/")
    page.locator("#r .stale").wait_for()
    assert (page.input_value("#t"), page.locator("#r p").inner_text()) == ("mine", "one")
    page.click("#r .stale")
    assert page.locator("#r p").inner_text() == "two"
