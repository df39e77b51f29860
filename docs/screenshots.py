"""Makes the pictures of the README: plays the demo's journey in a real browser and looks at it. `make screenshots`."""

import shutil
from pathlib import Path

from playwright.sync_api import Browser, expect, sync_playwright

from tests.e2e.playing import approve, ask, person, submit
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
        mara = person(browser, stack.url, "Mara Lindqvist")
        ask(mara)
        key = submit(mara)
        _look(browser, stack.url, "Noor Haddad", f"/changes/{key}/", "decide")
        for name in ("Lena Falk", "Noor Haddad"):
            approve(person(browser, stack.url, name), key)
        expect(mara.locator("#part-head")).to_contain_text("Succeeded", timeout=LATE)
        _look(browser, stack.url, "Mara Lindqvist", f"/changes/{key}/#part-run", "run")
        _look(browser, stack.url, "Noor Haddad", "/compliance/controls/CT-01/", "control")
        browser.close()


def _look(browser: Browser, url: str, name: str, path: str, picture: str) -> None:
    for scheme in ("light", "dark"):
        page = person(browser, url, name, color_scheme=scheme)
        page.goto(path)
        page.wait_for_load_state("networkidle")
        page.screenshot(path=IMAGES / f"{picture}-{scheme}.png")
        page.context.close()


if __name__ == "__main__":
    main()
