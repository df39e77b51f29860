"""The demo's people at work in a browser: for the tests, and for the pictures of the README."""

import re
from typing import Any

from playwright.sync_api import Browser, Page, expect


def person(browser: Browser, url: str, name: str, **options: Any) -> Page:
    """A page of this person, in a browser of their own that has seen nothing else."""
    viewport = {"width": 1280, "height": 800}
    page = browser.new_context(**{"viewport": viewport, "base_url": url, **options}).new_page()
    page.goto("/welcome/")
    page.get_by_role("button", name=f"as {name}").click()
    return page


def ask(
    page: Page, *, service: str = "web-bank", environment: str = "production", version: str = "2026.48"
) -> None:
    """Fill the form in; the preview has answered when this returns."""
    page.goto("/workflows/deploy-service/new/")
    page.select_option("#f-service", service)
    page.check(f"input[value={environment}]")
    page.fill("#f-inputs-version", version)
    page.fill("#f-reason", "Ships the new transfer page before the quarter-end freeze.")
    expect(page.locator("#preview")).to_contain_text("This needs")


def submit(page: Page) -> str:
    """The key of the change."""
    page.get_by_role("button", name="Submit for approval").click()
    expect(page).to_have_url(re.compile(r"/changes/CHG-\d+/"))
    return page.url.rstrip("/").rsplit("/", 1)[1]


def approve(page: Page, key: str) -> None:
    """Look at what is flagged, say why, decide."""
    page.goto(f"/changes/{key}/")
    for flag in page.locator("[data-flag]").all():
        flag.click()
    page.locator("input[name=decision][value=approve]").check()
    page.fill("#comment", "Read the plan.")
    page.locator("[data-decide-button]").click()
    expect(page.locator("#timeline")).to_contain_text("approved as")
