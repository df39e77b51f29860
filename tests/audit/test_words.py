"""What people read: time that passed, short digests, initials, coloured log lines, the drawing of steps."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from django.template import Context, Template

from accounts.models import User
from approvals.models import Chain, SignOff
from audit.templatetags import dag, schema_fields, states, terminal, words
from orchestration.models import Change, Run, Step, WorkflowVersion

NOON = datetime(2026, 9, 29, 12, 0, tzinfo=UTC)
SPRITE = Path(__file__).parents[2] / "templates/components/sprite.html"


@pytest.mark.parametrize(
    ("away", "said"),
    [
        (timedelta(0), "now"),
        (timedelta(seconds=-14), "14 s ago"),
        (timedelta(minutes=-9), "9 m ago"),
        (timedelta(hours=1, minutes=18), "in 1 h 18 m"),
        (timedelta(hours=-2), "2 h ago"),
        (timedelta(days=-3, hours=-5), "3 d ago"),
    ],
)
def test_a_moment_is_told_in_at_most_two_units(away, said):
    assert words.relative(NOON + away, at=NOON) == said


def test_a_digest_keeps_both_ends_and_other_text_stays_whole():
    assert words.short_digest("sha256:" + "0123456789abcdef" * 4) == "012345…cdef"
    assert words.short_digest("prod-deploy") == "prod-deploy"


def test_initials_come_from_the_first_and_the_last_word():
    assert [words.initials(name) for name in ("Mara Lindqvist", "ci@payments", "Noor", "")] == [
        "ML",
        "CP",
        "NO",
        "?",
    ]


def test_every_state_has_a_shape_that_the_sprite_contains():
    sprite = SPRITE.read_text()
    assert [name for name, look in states.LOOKS.items() if f'id="i-{look.icon}"' not in sprite] == []


@pytest.mark.parametrize(
    "states_of", [Change.State, Run.State, Step.State, WorkflowVersion.State, Chain.State, SignOff.Kind]
)
def test_every_state_of_every_table_has_a_look_of_its_own(states_of):
    assert set(states_of.values) <= set(states.LOOKS)


def test_a_state_that_is_not_listed_reads_as_words_and_not_as_a_name_in_code():
    assert states.look("half_way_there").words == "Half way there"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("\x1b[1;31mbad\x1b[32mgood\x1b[0mplain", [("a1 a31", "bad"), ("a1 a32", "good"), ("", "plain")]),
        ("\x1b[38;5;196mred\x1b[38;5;244mgrey", [("a31", "red"), ("a37", "grey")]),
        ("\x1b[38;2;10;200;20mgreen\x1b[39m", [("a32", "green")]),
        ("\x1b[38:2::10:200:20mgreen\x1b[38:2:200:0:0mred", [("a32", "green"), ("a31", "red")]),
        ("\x1b[48;2;0;0;250;97mblue\x1b[49;22m!", [("a97 b44", "blue"), ("a97", "!")]),
        ("\x1b[2Khidden\x1b[1A", [("esc", "^["), ("", "[2Khidden"), ("esc", "^["), ("", "[1A")]),
        ("over\rwritten\r", [("", "over"), ("esc", "^M"), ("", "written")]),
        ("a\u202eb\ufeff\x00\x7f", [("", "a"), ("esc", "<U+202E>"), ("", "b"), ("esc", "<U+FEFF>^@^?")]),
        ("\x1b[8mconcealed\x1b[999999m\x1b[38m", [("", "concealed")]),
    ],
)  # fmt: skip
def test_colours_become_classes_and_every_other_control_a_sign(line, shown):
    assert list(terminal.parts(line)) == shown


def test_a_program_cannot_print_markup_into_the_page():
    shown = Template("{% load countersign %}{{ line|ansi }}").render(
        Context({"line": "\x1b[31m<script>\x1b[0m"})
    )
    assert shown == '<span class="a31">&lt;script&gt;</span>'


def test_a_diff_line_is_known_by_its_first_character():
    text = "--- a\n+++ b\n@@ 1 @@\n-old\n+new\n same"
    assert [kind for kind, _ in words.diff_lines(text)] == ["at", "at", "at", "del", "add", "ctx"]


def test_a_step_stands_one_column_after_the_deepest_step_it_needs():
    graph = dag.draw(
        [
            {"key": "a", "needs": []},
            {"key": "b", "needs": ["a"]},
            {"key": "c", "needs": ["a", "b"]},
        ]
    )
    assert [node.x for node in graph.nodes] == sorted({node.x for node in graph.nodes})
    assert len(graph.edges) == 3


def test_steps_beside_each_other_never_overlap():
    graph = dag.draw([{"key": str(n), "needs": []} for n in range(4)])
    rows = sorted(node.y for node in graph.nodes)
    assert all(below - above >= dag.HEIGHT for above, below in pairwise(rows))


def test_a_loop_in_the_needs_is_drawn_and_not_followed_for_ever():
    assert len(dag.draw([{"key": "a", "needs": ["b"]}, {"key": "b", "needs": ["a"]}]).nodes) == 2


def test_no_step_is_an_empty_drawing():
    assert dag.draw([]).nodes == []


SCHEMA = {
    "required": ["version"],
    "properties": {
        "version": {"type": "string", "pattern": "^[0-9.]+$", "examples": ["4.18.0"]},
        "count": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
        "strategy": {"enum": ["canary", "all"]},
        "region": {"enum": ["a", "b", "c", "d", "e"]},
        "notify": {"type": "boolean", "default": True},
        "notes": {"type": "string", "maxLength": 4000, "title": "Notes for the reviewer"},
    },
}


def test_each_type_of_a_schema_gets_a_fitting_control():
    kinds = [field.kind for field in schema_fields.fields(SCHEMA)]
    assert kinds == ["text", "number", "radio", "select", "boolean", "textarea"]


def test_an_error_of_the_server_finds_its_field_by_pointer():
    pointer = "/inputs/version"
    field = schema_fields.fields(
        SCHEMA, {"version": "x"}, [{"pointer": pointer, "detail": "Not a version."}]
    )[0]
    assert (field.error, field.value) == ("Not a version.", "x")
    assert field.id == schema_fields.field_id(pointer)


def test_a_theme_is_taken_from_the_cookie_only_when_it_is_a_known_one(rf):
    page = Template("{% load countersign %}<html{% appearance %}>")
    request = rf.get("/")
    request.COOKIES["theme"] = "dark"
    request.COOKIES["density"] = '"><script>'
    assert page.render(Context({"request": request})) == '<html data-theme="dark">'


def test_a_person_is_shown_by_name_with_whom_they_stand_in_for():
    page = Template('{% load countersign %}{% person who "for Anna" %}')
    shown = page.render(Context({"who": User(username="noor", name="Noor Haddad")}))
    assert "NH" in shown
    assert "Noor Haddad" in shown
    assert "for Anna" in shown


def test_a_flood_of_controls_does_not_become_a_flood_of_elements():
    runs = list(terminal.parts("\x1b[" * 5000))
    assert len(runs) <= 2 * terminal.SIGNS + 1
    assert "".join(part for _, part in runs) == "^[[" * 5000
