"""Policy that lies, loops, panics or says too little never lets anything through."""

import json
import os
import signal
import time

import pytest
from django.conf import settings
from django.db import transaction

from approvals.models import Bundle, Chain, Decision
from approvals.policy import bundles, contract, decide, decisions, lint, pool, preview
from approvals.policy.engine import PolicyDenied, PolicyRefused, PolicyUnavailable
from audit.canonical import parse
from audit.models import Entry
from tests.approvals.cast import STARTER, TEST, facts, person, sql

REST = """
deny := []
warn := []
windows := []
obligations := []
"""
STAGE = """
# METADATA
# title: Anybody
# custom:
#   rule: anybody
require contains {
	"stage": "Owner", "order": %(order)s, "quorum": %(quorum)s, "teams": %(teams)s, "exclude_authors": true,
	"signature": "session", "expires_in": %(expires_in)s,
	"why": {"rule": "anybody", "message": "Because.", "read": [%(read)s]},
	%(more)s
} if %(when)s
"""


def rego(rest=REST, **changed):
    """A whole policy in one file, with one stage; each part may be bent."""
    parts = {
        "order": 1, "quorum": 1, "teams": '["payments"]', "expires_in": 3600, "more": "",
        "read": '{"path": "input.service.tier", "value": input.service.tier}', "when": "{ input.api == \"v1\" }",
    }  # fmt: skip
    return "package countersign.change\n" + STAGE % {**parts, **changed} + rest


def bundle(text, tests="package t_test\ntest_it if { true }\n"):
    return {"a.rego": text, "a_test.rego": tests}


@pytest.fixture
def asks(db):
    """Activate a policy in one file and ask it."""
    noor = person("Noor", "payments")
    person("Ines", "payments")

    def ask(text, function=decide, **changed):
        bundles.activate(bundles.examine(bundle(text)), source="test", by=TEST)
        return function(facts(noor, **changed))

    return ask


# --- what the starter pack says ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "tier", "emergency", "stages"),
    [
        ("production", 1, False, ["Security", "Service owner"]),
        ("production", 2, False, ["Service owner"]),
        ("production", 2, True, ["Security", "Service owner"]),
        ("staging", 1, False, ["Service owner"]),
        ("test", 1, True, ["Security", "Service owner"]),
    ],
)
def test_the_starter_pack_asks_who_it_says(bank, environment, tier, emergency, stages):
    told = facts(bank.noor, environment=environment, tier=tier)
    told["change"]["emergency"] = emergency
    output = preview(told)
    assert [stage["stage"] for stage in output["require"]] == stages
    assert all(stage["quorum"] == 1 for stage in output["require"])


def test_every_stage_names_the_file_and_line_of_its_rule(bank):
    for stage in preview(facts(bank.noor))["require"]:
        file, line = stage["why"]["rule"].split(":")
        text = (STARTER / file).read_text().splitlines()
        assert text[int(line) - 1].startswith("require contains")


def test_a_decision_keeps_all_that_is_needed_to_repeat_it(bank):
    decision = decide(facts(bank.noor))
    assert decision.bundle == bank.bundle
    assert decision.input == facts(bank.noor)
    data = parse(bytes(Entry.objects.get(kind="policy.decided").body))["data"]
    assert data["bundle"] == bank.bundle.digest
    assert data["output_digest"] == decision.output_digest
    assert preview(decision.input) == decision.output


def test_a_preview_stores_nothing(bank):
    preview(facts(bank.noor))
    assert not Decision.objects.exists()
    assert not Entry.objects.filter(kind="policy.decided").exists()


def test_a_denial_is_stored_and_refused_and_a_preview_shows_it(bank):
    told = facts(bank.noor)
    told["change"]["emergency"] = True
    told["requester"]["kind"] = "service"
    assert preview(told)["deny"][0]["rule"].startswith("emergency.rego:")
    with pytest.raises(PolicyDenied, match="not by a service account"):
        decide(told)
    assert Decision.objects.count() == 1
    assert not Chain.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ask", [decide, preview])
def test_no_policy_is_evaluated_inside_a_transaction(ask):
    with transaction.atomic(), pytest.raises(RuntimeError):
        ask({})


# --- answers that are none (C08, C12) ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "bent",
    [
        {"quorum": 0}, {"quorum": -1}, {"quorum": 51}, {"quorum": '"1"'}, {"quorum": "1.5"}, {"quorum": "true"},
        {"quorum": "9223372036854775808"}, {"quorum": "1e400"}, {"quorum": "null"}, {"quorum": "[1]"},
        {"order": 0}, {"order": '"1"'}, {"expires_in": 0}, {"expires_in": 10**9},
        {"teams": "[]"}, {"teams": '"payments"'}, {"teams": "[1]"}, {"teams": '[" payments"]'},
        {"more": '"due_in": 59'}, {"more": '"due_in": "600"'}, {"more": '"due_in": 600, "escalate_to": []'},
        {"more": '"distinct": "nobody"'}, {"more": '"distinct": true'}, {"more": '"member_for": -1'},
        {"more": '"due_in": 600, "escalate_to": ["payments", "payments"]'}, {"more": '"member_for": 1.5'},
        {"more": '"quorom": 2'}, {"more": '"users": ["nobody"]'},
        {"read": ""}, {"read": '{"path": "input.service.tier", "value": 3}'},
        {"read": '{"path": "input.service.teir", "value": input.service.tier}'},
    ],
)  # fmt: skip
def test_c08_c12_an_answer_outside_the_contract_is_refused(asks, bent):
    with pytest.raises(PolicyRefused):
        asks(rego(**bent))
    assert not Decision.objects.exists()


@pytest.mark.parametrize(
    ("bent", "sentence"),
    [
        ({"teams": '["paymentz"]'}, r"a\.rego:\d+ asks team paymentz, which does not exist"),
        ({"quorum": 2}, r"a\.rego:\d+ asks for 2 of payments, but only 1 may agree"),
        ({"when": '{ input.api == "v2" }'}, "no rule demands an approval"),
        ({"quorum": 0}, "rule anybody, /require/0/quorum"),
        (
            {"more": '"escalate_to": ["payments"]'},
            "rule anybody escalates Owner but does not say when it is due",
        ),
        ({"more": '"due_in": 3600'}, "rule anybody makes Owner due after the chain has expired"),
        (
            {"more": '"due_in": 60, "escalate_to": ["directors"]'},
            r"a\.rego:\d+ asks team directors, which does not exist",
        ),
    ],
)
def test_c08_the_refusal_names_the_rule_at_fault(asks, bent, sentence):
    with pytest.raises(PolicyRefused, match=sentence):
        asks(rego(**bent))


def test_an_author_is_not_among_those_who_may_agree(asks):
    author = person("Omar", "payments")
    text = rego(quorum=2)
    asks(text)
    with pytest.raises(PolicyRefused, match="only 1 may agree"):
        asks(text, authors=[str(author.pk)])


def test_a_passkey_is_not_promised_before_it_can_be_taken(asks):
    with pytest.raises(PolicyRefused, match="passkey"):
        asks(rego().replace('"signature": "session"', '"signature": "passkey"'))


@pytest.mark.parametrize("missing", ["deny", "warn", "windows", "obligations"])
def test_a_part_that_is_undefined_refuses(asks, missing):
    with pytest.raises(PolicyRefused, match=missing):
        asks(rego(REST.replace(f"{missing} := []", "")))


def test_rules_that_contradict_each_other_refuse(asks):
    rest = REST.replace(
        "warn := []", 'warn := [] if { input.api == "v1" }\nwarn := ["x"] if { input.service.tier == 1 }'
    )
    text = rego(rest).replace("warn := [] if", "# METADATA\n# title: W\n# custom: {rule: w1}\nwarn := [] if")
    text = text.replace('warn := ["x"]', '# METADATA\n# title: W\n# custom: {rule: w2}\nwarn := ["x"]')
    with pytest.raises(PolicyRefused):
        asks(text)


@pytest.mark.parametrize(
    "bend", [{"api": "v2"}, {"extra": 1}, {"phase": "later"}, {"authors": ["x y"]}, {"now": 1.5}]
)
def test_facts_outside_the_contract_are_refused(bank, bend):
    with pytest.raises(PolicyRefused, match="facts"):
        decide(facts(bank.noor, **bend))


def test_each_object_of_both_contracts_is_closed():
    def open_objects(schema, at):
        if isinstance(schema, dict):
            if (
                schema.get("type") == "object"
                and "properties" in schema
                and schema.get("additionalProperties") is not False
            ):
                yield at
            for key, value in schema.items():
                yield from open_objects(value, f"{at}/{key}")

    for validator in (contract._INPUT, contract._OUTPUT):
        assert list(open_objects(validator.schema, "")) == []


# --- loops, bombs, panics (D03) ---------------------------------------------------------------------------

LOOP = "{ some i in numbers.range(1, 20000); some j in numbers.range(1, 20000); i * j == -1 }"
MEMORY = "{ count([x | some x in numbers.range(1, 100000000)]) == 1 }"


@pytest.mark.parametrize(
    ("bent", "cause"), [({"when": LOOP}, "took too long"), ({"when": MEMORY}, "it ended")]
)
def test_d03_a_loop_or_a_bomb_denies_in_time_and_the_next_decision_works(asks, monkeypatch, bent, cause):
    monkeypatch.setattr(pool, "EVALUATE_SECONDS", 0.5)
    began = time.monotonic()
    with pytest.raises(PolicyUnavailable, match=cause):
        asks(rego(**bent))
    assert time.monotonic() - began < 5
    assert asks(rego(order=2)).output["require"][0]["order"] == 2


def test_d03_a_huge_answer_denies(asks):
    message = 'sprintf("%s", [concat("", [format_int(x, 10) | some x in numbers.range(1, 300000)])])'
    with pytest.raises(PolicyRefused, match="bytes"):
        asks(rego().replace('"Because."', message))


def test_d03_a_child_that_is_killed_denies_once_and_is_replaced(bank):
    engine = pool.Pool(1)
    try:
        arguments = (bank.bundle.digest, bank.bundle.sources, facts(bank.noor))
        first = engine.evaluate(*arguments)
        (child,) = engine._free.queue
        assert child is not None
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(PolicyUnavailable, match="it was killed"):
            engine.evaluate(*arguments)
        assert engine.evaluate(*arguments) == first
        assert list(engine._free.queue) != [child]
    finally:
        engine.close()


def test_d03_candidates_that_hold_every_process_of_theirs_hold_no_decision(bank, monkeypatch):
    monkeypatch.setattr(pool, "QUEUE_SECONDS", 0.01)
    held = [pool.trial()._checkout() for _ in range(settings.POLICY_PROCESSES)]
    try:
        with pytest.raises(PolicyUnavailable, match="busy"):
            bundles.examine(bank.bundle.sources)
        assert decide(facts(bank.noor)).output["require"]
    finally:
        for child in held:
            pool.trial()._give_back(child, healthy=True)


def test_d03_a_test_that_loops_is_named_however_busy_the_machine_is(bank, monkeypatch):
    """Stopped by the clock on the wall as well as by its own: it is the bundle's fault where it worked meanwhile."""
    pairs = "some a in numbers.range(1, 90000); some b in numbers.range(1, 90000)"
    loops = f"package loops_test\n\ntest_loops if count([1 | {pairs}; a == b]) > 0\n"
    sources = {**bank.bundle.sources, "loops_test.rego": loops}
    monkeypatch.setattr(pool, "COMPILE_SECONDS", 1.5)
    monkeypatch.setattr(pool, "WORKED_SECONDS", 0.2)
    with pytest.raises(PolicyRefused) as refused:
        pool.trial().test(sources)
    assert [one.place for one in refused.value.faults] == ["loops_test.rego:3"]
    assert "test_loops takes more processor time" in str(refused.value)
    monkeypatch.setattr(pool, "WORKED_SECONDS", 60.0)
    with pytest.raises(PolicyUnavailable, match="took too long"):
        pool.trial().test(sources)


@pytest.mark.parametrize(
    ("path", "text", "place"),
    [
        ("a.rego", "package a\n# \0", "a.rego:2"),
        ("a.rego", "# \ud800", "a.rego:1"),
        ("a\0.rego", "", "a\ufffd.rego:0"),
    ],
)
def test_what_is_no_text_is_refused_by_file_and_line(bank, path, text, place):
    with pytest.raises(PolicyRefused) as refused:
        bundles.examine({**bank.bundle.sources, path: text})
    assert [one.place for one in refused.value.faults] == [place]


def test_a_child_starts_when_first_needed_and_ends_with_the_pool():
    engine = pool.Pool(2)
    assert list(engine._free.queue) == [None, None]
    engine.compile(bundle(rego()))
    child = next(one for one in engine._free.queue if one is not None)
    engine.close()
    assert child._process.poll() is not None


# --- what may not be written (D04) ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        'http.send({"method": "get", "url": "http://127.0.0.1"})', "opa.runtime()", 'net.lookup_ip_addr("localhost")',
        "time.now_ns()", 'rand.intn("x", 5)', 'uuid.rfc4122("x")', 'trace("x")', 'print("x")', 'strings.count("x", "")',
        "rego.metadata.rule()", 'io.jwt.decode("x")', 'no.such("x")',
    ],
)  # fmt: skip
def test_d04_a_builtin_that_is_not_allowed_does_not_compile(call):
    sources = bundle(rego(when=f"{{ x := {call} }}"))
    with pytest.raises(PolicyRefused, match="may not be called"):
        pool.engine().compile(sources)
    with pytest.raises(PolicyRefused, match="may not be called"):
        pool.engine().compile(bundle(rego(), f"package t_test\ntest_it if {{ x := {call} }}\n"))


@pytest.mark.parametrize(
    ("where", "statement", "sentence"),
    [
        ("a", "input.api with input.api as 1", "belongs to tests"),
        ("a", 'count("x") with count as http.send', "belongs to tests"),
        ("test", "count([]) == 1 with count as http.send", "may not replace count"),
        ("test", "data.own.f(1) with data.own.f as http.send", "http.send may not be used"),
        ("test", 'http.send({}) with http.send as {"a": 1}', "http.send may not be"),
        ("test", "data.own.f(1) with data.own.f as opa.runtime", "opa.runtime may not be used"),
    ],
)
def test_d04_with_is_no_side_door_to_a_builtin(where, statement, sentence):
    sources = (
        bundle(rego(when=f"{{ {statement} }}"))
        if where == "a"
        else bundle(rego(), f"package t_test\ntest_it if {{ {statement} }}\n")
    )
    sources["own.rego"] = "package own\nf(x) := x\n"
    with pytest.raises(PolicyRefused, match=sentence):
        pool.engine().compile(sources)


@pytest.mark.parametrize(
    ("rest", "sentence"),
    [
        ("requrie contains 1 if { true }", "requrie is no part of the answer"),
        ("helper := 1", "helper is no part of the answer"),
        ("require[x] if {", "a.rego"),
    ],
)
def test_a_misspelt_or_broken_rule_does_not_compile(rest, sentence):
    with pytest.raises(PolicyRefused, match=sentence):
        pool.engine().compile(bundle(rego(REST + rest)))


# --- what a bundle says about itself ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("# title: Anybody\n", "", "needs METADATA"),
        ("#   rule: anybody", "#   rule: nobody", "must be the constant"),
        ('"rule": "anybody"', '"rule": input.service.slug', "must be the constant"),
        ("# METADATA", "# NOTE", "needs METADATA"),
        ("# title: Anybody", "# title: [", "not YAML"),
        ("# title: Anybody", "# title: &a Anybody", "anchors"),
    ],
)
def test_a_rule_without_a_true_id_and_a_title_is_refused(old, new, sentence):
    with pytest.raises(PolicyRefused, match=sentence):
        bundles.examine(bundle(rego().replace(old, new)))


def test_two_rules_cannot_share_an_id():
    with pytest.raises(PolicyRefused, match="rule id anybody"):
        bundles.examine(bundle(rego(STAGE % {
            "order": 2, "quorum": 1, "teams": '["x"]', "expires_in": 60, "more": "", "read": "", "when": "{ true }",
        } + REST)))  # fmt: skip


@pytest.mark.parametrize(
    "when",
    [
        '{ input.claims.risk == "low" }',
        '{ input["claims"].risk == "low" }',
        "{ data.own.low }",
        "{ some k, v in input }",
    ],
)
def test_d05_a_chain_that_is_chosen_by_claims_is_warned_about(when):
    sources = bundle(rego(when=when))
    sources["own.rego"] = 'package own\nlow if { risk == "low" }\nrisk := input.claims.risk\n'
    warned = bundles.examine(sources).warnings
    assert ["requester claims" in one.message for one in warned] == [True]
    assert warned[0].place.startswith("a.rego:")


def test_a_chain_that_rests_on_facts_is_not_warned_about():
    assert bundles.examine(bundle(rego())).warnings == []
    assert isinstance(bundles.load(STARTER).warnings, list)
    assert bundles.load(STARTER).warnings == []


def test_a_claim_that_only_warns_is_not_warned_about():
    rest = REST.replace(
        "warn := []",
        """
# METADATA
# title: Says so
# custom:
#   rule: says-so
warn contains {"rule": "says-so", "message": "It says so."} if { input.claims.risk == "low" }
""",
    )
    assert bundles.examine(bundle(rego(rest))).warnings == []


# --- bundles: tested, signed, only forward (D07, D08) ------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("tests", "sentence"),
    [
        ("package t_test\ntest_it if { false }\n", "1 of 1 policy tests fail"),
        ('package t_test\ntest_it if { to_number("x") == 1 }\n', "tests fail"),
        ("package t_test\nfacts := 1\n", "has no tests"),
    ],
)
def test_a_bundle_whose_tests_do_not_pass_never_becomes_active(tests, sentence):
    with pytest.raises(PolicyRefused, match=sentence):
        bundles.activate(bundles.examine(bundle(rego(), tests)), source="test", by=TEST)
    assert not Bundle.objects.exists()


def test_d07_a_bundle_edited_in_the_database_is_not_evaluated(bank):
    sql("UPDATE approvals_bundle SET sources = jsonb_set(sources, '{owner.rego}', '\"package x\"')")
    with pytest.raises(PolicyUnavailable, match="not what was signed"):
        decide(facts(bank.noor))


def test_d07_a_bundle_edited_with_its_digest_is_not_evaluated(bank):
    sources = {**bank.bundle.sources, "owner.rego": "package x"}
    sql(
        "UPDATE approvals_bundle SET sources = %s::jsonb, digest = %s",
        json.dumps(sources), bundles.digest(sources),
    )  # fmt: skip
    with pytest.raises(PolicyUnavailable, match="not what was signed"):
        decide(facts(bank.noor))


def test_d08_an_older_bundle_made_active_again_in_the_database_is_not_evaluated(bank):
    person("Ines", "payments")
    bundles.activate(bundles.examine(bundle(rego())), source="test", by=TEST)
    sql("UPDATE approvals_bundle SET active = false")
    sql("UPDATE approvals_bundle SET active = true WHERE serial = 1")
    with pytest.raises(PolicyUnavailable, match="turned it back"):
        decide(facts(bank.noor))


def test_d08_an_older_bundle_is_not_activated_again(bank):
    bundles.activate(bundles.examine(bundle(rego())), source="test", by=TEST)
    with pytest.raises(PolicyRefused, match="Going back is a governed act"):
        bundles.activate(bundles.load(STARTER), source="test", by=TEST)
    assert Bundle.objects.get(active=True).serial == 2


def test_an_activation_is_recorded_and_the_old_bundle_retired(bank):
    bundles.activate(bundles.examine(bundle(rego())), source="a commit", by=TEST)
    kinds = list(
        Entry.objects.filter(kind__startswith="bundle.").order_by("id").values_list("kind", flat=True)
    )
    assert kinds == ["bundle.activated", "bundle.retired", "bundle.activated"]


def test_the_first_start_activates_the_starter_pack_once(bank):
    assert bundles.first_start(STARTER, by=TEST) == bank.bundle
    assert bundles.activate(bundles.load(STARTER), source="again", by=TEST) == bank.bundle
    assert Entry.objects.filter(kind="bundle.activated").count() == 1


@pytest.mark.django_db
def test_without_an_active_bundle_nothing_is_decided():
    with pytest.raises(PolicyUnavailable, match="No policy is active"):
        decide(facts(person("Noor", "payments")))


def test_a_candidate_is_tried_out_without_becoming_active(bank):
    output = decisions.try_out(bundles.examine(bundle(rego(quorum=1))), facts(bank.noor))
    assert [stage["stage"] for stage in output["require"]] == ["Owner"]
    assert Bundle.objects.get() == bank.bundle


def test_the_digest_of_a_bundle_tells_where_a_file_ends():
    assert bundles.digest({"a": "bc"}) != bundles.digest({"ab": "c"})
    assert bundles.digest({"a": "x", "b": "y"}) == bundles.digest({"b": "y", "a": "x"})


@pytest.mark.parametrize("files", [{}, {"a.txt": "x"}, {"a.rego": "x" * 500_001}])
def test_a_directory_that_is_no_bundle_is_refused(tmp_path, files):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(PolicyRefused, match="A bundle has"):
        bundles.load(tmp_path)


def test_every_answer_part_is_known_to_the_lint():
    nothing: dict[str, list[dict[str, str]]] = {part: [] for part in lint.ANSWERS}
    denied = {**nothing, "deny": [{"rule": "a", "message": "b"}]}
    assert contract.check_output(denied, facts={}, places={"a": "a.rego:1"})["deny"][0]["rule"] == "a.rego:1"
