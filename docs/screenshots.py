"""Makes the pictures of the README: plays the demo's journey in a real browser and looks at it. `make screenshots`."""

import re
import shutil
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.stack import running

IMAGES = Path(__file__).parent / "images"
LATE = 30_000
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]


def main() -> None:
    """Writes each picture light and dark, 1280 pixels wide."""
    IMAGES.mkdir(exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with running(demo=True) as stack, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        key = _request(_person(browser, stack.url, "Mara Lindqvist"))
        _look(browser, stack.url, "Noor Haddad", f"/changes/{key}/", "decide")
        for name in ("Lena Falk", "Noor Haddad"):
            _approve(_person(browser, stack.url, name), key)
        mara = _person(browser, stack.url, "Mara Lindqvist")
        mara.goto(f"/changes/{key}/")
        expect(mara.locator("#part-head")).to_contain_text("Succeeded", timeout=LATE)
        _look(browser, stack.url, "Mara Lindqvist", f"/changes/{key}/#part-run", "run")
        _look(browser, stack.url, "Noor Haddad", "/compliance/controls/CT-01/", "control")
        browser.close()


def _person(browser: Browser, url: str, name: str, scheme: str = "light") -> Page:
    viewport = {"width": 1280, "height": 800}
    page = browser.new_context(viewport=viewport, base_url=url, color_scheme=scheme).new_page()  # type: ignore[arg-type]
    page.goto("/welcome/")
    page.get_by_role("button", name=f"as {name}").click()
    return page


def _request(page: Page) -> str:
    page.goto("/workflows/deploy-service/new/")
    page.select_option("#f-service", "web-bank")
    page.check("input[value=production]")
    page.fill("#f-inputs-version", "2026.48")
    page.fill("#f-reason", "Ships the new transfer page before the quarter-end freeze.")
    page.get_by_role("button", name="Submit for approval").click()
    expect(page).to_have_url(re.compile(r"/changes/CHG-\d+/"))
    return page.url.rstrip("/").rsplit("/", 1)[1]


def _approve(page: Page, key: str) -> None:
    page.goto(f"/changes/{key}/")
    for flag in page.locator("[data-flag]").all():
        flag.click()
    page.locator("input[name=decision][value=approve]").check()
    page.fill("#comment", "Read the plan.")
    page.locator("[data-decide-button]").click()
    expect(page.locator("#timeline")).to_contain_text("approved as")


def _look(browser: Browser, url: str, name: str, path: str, picture: str) -> None:
    for scheme in ("light", "dark"):
        page = _person(browser, url, name, scheme)
        page.goto(path)
        page.wait_for_load_state("networkidle")
        page.screenshot(path=IMAGES / f"{picture}-{scheme}.png")
        page.context.close()


if __name__ == "__main__":
    main()
