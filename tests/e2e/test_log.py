"""A log in a real browser: any length at once, links, search, the live end; and nothing that a program prints acts."""

import json
import subprocess
import sys

import pytest
from playwright.sync_api import expect

from audit.templatetags import terminal
from tests.faults.product import environment
from tests.stack import ROOT, running, wait_for

pytestmark = pytest.mark.browser
LONG = ["/usr/bin/seq", "-f", "line %06g", "1", "200000"]


@pytest.fixture(scope="module")
def stack():
    with running(demo=False) as stack:
        yield stack


@pytest.fixture(scope="module")
def run(stack):
    """Lets the product run a command; the key of its run and the session of its requester."""
    argv, pipe = [sys.executable, "-m", "tests.e2e.printer"], subprocess.PIPE
    with subprocess.Popen(
        argv, env=environment(stack), cwd=ROOT, stdin=pipe, stdout=pipe, text=True
    ) as printer:
        into, told = printer.stdin, printer.stdout
        assert into is not None
        assert told is not None

        def started(*command):
            into.write(json.dumps(command) + "\n")
            into.flush()
            return json.loads(told.readline())

        yield started
        into.close()


@pytest.fixture(scope="module")
def ended(stack, run):
    """The same, once it has ended."""

    def waited(*command):
        made = run(*command)
        number = int(made["run"].removeprefix("RUN-"))
        asked = "SELECT 1 FROM orchestration_run WHERE number = %s AND state = 'succeeded'"
        wait_for(lambda: stack.query(asked, number), what=f"the end of {made['run']}")
        return made

    return waited


@pytest.fixture(scope="module")
def long_log(ended):
    return ended(*LONG)


@pytest.fixture
def opened(stack, page):
    """Opens the page of a run; what it says on its console is kept."""
    page.said = []
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on("dialog", lambda dialog: (page.said.append("a dialog"), dialog.dismiss()))

    def open_(made, more=""):
        page.context.add_cookies([{"name": "session", "value": made["session"], "url": stack.url}])
        page.goto(f"{stack.url}/runs/{made['run']}/?step=a{more}")
        return page

    return open_


def texts(page):
    return page.locator("[data-log-lines] .line .tx").all_inner_texts()


def test_two_hundred_thousand_lines_are_there_at_once_and_few_of_them_in_the_page(long_log, opened):
    page = opened(long_log)
    page.locator("#L200000", has_text="line 200000").wait_for()
    assert page.locator("[data-log-lines] .line").count() < 100
    expect(page.locator("[data-log-count]")).to_have_text("200\u202f000 lines")
    box = page.locator("[data-log-lines]")
    box.evaluate("box => (box.scrollTop = box.scrollHeight / 2)")
    page.locator(".line .tx", has_text="line 100005").wait_for()
    box.focus()
    page.keyboard.press("g")
    page.locator("#L1", has_text="line 000001").wait_for()
    page.keyboard.press("G")
    page.locator("#L200000", has_text="line 200000").wait_for()
    numbers = [int(one) for one in page.locator("[data-log-lines] .no").all_inner_texts()]
    assert numbers == list(range(numbers[0], 200_001))


def test_a_link_to_lines_opens_there_and_a_click_makes_one(long_log, opened):
    page = opened(long_log, "#L150000-L150003")
    page.locator("#L150000.marked", has_text="line 150000").wait_for()
    assert page.locator(".line.marked .no").all_inner_texts() == ["150000", "150001", "150002", "150003"]
    page.locator("#L150005 .no").click()
    assert page.evaluate("location.hash") == "#L150005"
    page.locator("#L150007 .no").click(modifiers=["Shift"])
    assert page.evaluate("location.hash") == "#L150005-L150007"
    page.evaluate("location.hash = '#L77'")
    page.locator("#L77.marked", has_text="line 000077").wait_for()


def test_a_search_goes_from_match_to_match_over_the_whole_log_by_keys(long_log, opened):
    page = opened(long_log)
    page.locator("#L200000").wait_for()
    page.locator("[data-log-lines]").focus()
    page.keyboard.press("g")
    page.keyboard.press("/")
    page.keyboard.type("LINE 1999")
    page.keyboard.press("Enter")
    found = page.locator("[data-log-found]")
    expect(found).to_have_text("1 of 100")
    page.locator("#L199900.marked").wait_for()
    page.locator("[data-log-lines]").focus()
    page.keyboard.press("n")
    expect(found).to_have_text("2 of 100")
    page.keyboard.press("N")
    page.keyboard.press("N")
    expect(found).to_have_text("100 of 100")
    page.locator("#L199999.marked", has_text="line 199999").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("(")
    page.locator("[name=regex]").check()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("(")
    page.keyboard.press("Enter")
    expect(found).to_contain_text("no regular expression")


def test_the_end_is_followed_until_one_scrolls_up_and_what_came_meanwhile_is_counted(run, opened, tmp_path):
    waits = "until [ -e {0}/{1} ]; do sleep 0.02; done; "
    script = "".join([
        "seq -f 'line %06g' 1 10000; printf 'half a '; ", waits.format(tmp_path, "one"),
        "printf 'line\\nthe next\\n'; ",
        waits.format(tmp_path, "two"), "yes unseen | head -3; ", waits.format(tmp_path, "three"),
    ])  # fmt: skip
    page = opened(run("/bin/sh", "-c", script))
    page.locator("#L10001", has_text="half a").wait_for()
    (tmp_path / "one").touch()
    page.locator("#L10002", has_text="the next").wait_for()
    assert texts(page)[-2:] == ["half a line", "the next"]
    page.locator("[data-log-lines]").evaluate("box => (box.scrollTop = 0)")
    page.locator("#L1", has_text="line 000001").wait_for()
    (tmp_path / "two").touch()
    expect(page.locator("[data-log-jump]")).to_have_text("Jump to end, 3 new")
    page.locator("[data-log-jump]").click()
    page.locator("#L10005", has_text="unseen").wait_for()
    (tmp_path / "three").touch()
    expect(page.locator(".log .pill")).to_have_text("Succeeded")
    assert texts(page)[-1] == "unseen"
    assert page.said == []


def test_without_script_the_last_page_is_there_with_links_to_the_others(long_log, stack, browser):
    context = browser.new_context(java_script_enabled=False)
    context.add_cookies([{"name": "session", "value": long_log["session"], "url": stack.url}])
    page = context.new_page()
    page.goto(f"{stack.url}/runs/{long_log['run']}/?step=a")
    assert page.locator(".log .line").count() == 500
    assert page.locator("#L200000 .tx").inner_text() == "line 200000"
    page.get_by_role("link", name="Earlier").click()
    assert page.locator("#L199001 .tx").inner_text() == "line 199001"
    page.get_by_role("link", name="First").click()
    assert page.locator(".log-pages a").all_inner_texts() == ["Later", "Last"]
    context.close()


# --- what a program prints ------------------------------------------------------------------------------------

EVIL = [
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "\x1b]8;;javascript:alert(1)\x07click me\x1b]8;;\x07",
    "\x1b]8;;https://evil.example\x1b\\another\x1b]8;;\x1b\\",
    "paid 999\rpaid 100",
    "refused\x1b[2K\x1b[1A\x1b[Gapproved",
    "\x1b[8mhidden\x1b[0m \x1b[30;40mblack on black\x1b[0m",
    "a\u202egnp.exe \u2066x\u2069 \ufeffbom \u200bzero \u2028sep \U000e0041tag",
    "\x1b[31;<svg onload=alert(1)>m \x1b[38;2;999;1;1mred\x1b[4:3m",
    "\x00\x01\x7f\x9b31m \x1bc \x1b(0 lqk",
    "${alert(1)} {{alert(1)}} javascript:alert(1) &lt;b&gt; \"'><b>",
]


@pytest.fixture(scope="module")
def evil(ended, tmp_path_factory):
    file = tmp_path_factory.mktemp("evil") / "evil"
    file.write_bytes("".join(f"{line}\n" for line in EVIL).encode() + b"\xff\xfe\xed\xa0\x80 end\n")
    return ended("/bin/cat", str(file))


def test_x15_nothing_that_a_step_prints_acts_moves_or_hides_in_the_page(evil, opened):
    page = opened(evil)
    page.locator("#L11", has_text="end").wait_for()
    shown = page.locator("[data-log-lines] .tx").evaluate_all("all => all.map((one) => one.textContent)")
    assert shown[:-1] == ["".join(part for _, part in terminal.parts(line)) for line in EVIL]
    assert "^[]8;;javascript:alert(1)^Gclick me^[]8;;^G" in shown
    assert "paid 999^Mpaid 100" in shown
    assert "<U+202E>" in shown[6]
    inside = page.locator("[data-log-lines] *")
    assert set(inside.evaluate_all("all => all.map((one) => one.tagName)")) == {"DIV", "A", "SPAN"}
    links = page.locator("[data-log-lines] a").evaluate_all(
        "all => all.map((one) => one.getAttribute('href'))"
    )
    assert all(one.startswith(f"/runs/{evil['run']}/?step=a#L") for one in links)
    assert page.said == []  # no dialog, no error, no violation of the content security policy


def test_x15_the_page_of_whoever_has_no_script_shows_the_same(evil, stack, browser):
    context = browser.new_context(java_script_enabled=False)
    context.add_cookies([{"name": "session", "value": evil["session"], "url": stack.url}])
    page = context.new_page()
    page.goto(f"{stack.url}/runs/{evil['run']}/?step=a")
    shown = page.locator(".log .tx").evaluate_all("all => all.map((one) => one.textContent)")
    assert shown[:-1] == ["".join(part for _, part in terminal.parts(line)) for line in EVIL]
    assert set(page.locator(".log .tx *").evaluate_all("all => all.map((one) => one.tagName)")) == {"SPAN"}
    context.close()


def test_script_and_server_see_the_same_in_a_line(opened, evil):
    lines = [
        *EVIL,
        "\x1b[38;5;208mo\x1b[48;5;17mb\x1b[7mi\x1b[27;39;49mp\x1b[38;2;1;2;3mg\x1b[91;1mx\x1b[22mz\x1b[0my",
        "\x1b[38:2::10:200:20mg\x1b[38:2:200:0:0mr\x1b[38:5:17mb",
    ]
    lines += [f"\x1b[38;5;{code}mc\x1b[48;5;{255 - code}mb" for code in range(0, 256, 5)]
    seen = opened(evil).evaluate(
        "lines => import('/static/src/js/ansi.js').then(({parts}) => lines.map((line) => parts(line)))", lines
    )
    assert seen == [[list(part) for part in terminal.parts(line)] for line in lines]
