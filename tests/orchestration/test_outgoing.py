"""Entries leave in order and at least once: whoever fails, dies or lies on the way, a receiver misses nothing."""

import base64
import hashlib
import json
import os
import random
import socket
import subprocess
import sys
import threading
from datetime import timedelta
from itertools import chain
from urllib.parse import urlsplit

import pytest
import rfc8785
from django.db import connection
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from audit.canonical import parse
from audit.ledger.record import leaf_hash
from audit.models import ActorName, Entry, Leaf
from orchestration import catalogue
from orchestration.actions import egress
from orchestration.engine.failpoints import VARIABLE
from orchestration.models import Destination
from orchestration.outgoing import batches, deliveries, destinations, sender
from orchestration.outgoing import child as outgoing_child
from orchestration.secrets import files, store
from tests.audit.log import TESTER, as_insider, sequence, write
from tests.orchestration.far import Told, Witness, far
from tests.orchestration.outgoing import KEY, TOKEN, arrived, outside, pass_by
from tests.orchestration.test_egress import DISGUISED, NO_PLACES, PRIVATE
from tests.stack import ROOT, wait_for

pytestmark = pytest.mark.django_db(transaction=True)


BOTH = pytest.mark.parametrize(
    ("kind", "secret"), [("webhook", KEY), ("otlp", TOKEN)], ids=["webhook", "otlp"]
)


def row():
    return Destination.objects.get()


def index_of(entry):
    return Leaf.objects.get(entry=entry).index


def said(kind):
    return parse(bytes(Entry.objects.filter(kind=kind).latest("id").body))["data"]


# --- what arrives -------------------------------------------------------------------------------------------------


def test_each_entry_arrives_as_a_cloudevent_with_its_place_once_it_is_sealed(monkeypatch):
    with outside(monkeypatch) as out:
        out.destination()
        first, second = out.write(2)
        assert out.turn() == 2
        events = [one.json for one in out.server.asked]
        assert [int(one["sequence"]) for one in events] == [index_of(first), index_of(second)]
        entry = events[1]
        assert "previous" not in events[0]
        assert int(entry["previous"]) == index_of(first)
        assert {name: entry[name] for name in ("specversion", "source", "type", "subject")} == {
            "specversion": "1.0", "source": "countersign.local/ledger/main",
            "type": "dev.countersign.test.happened", "subject": second.subject,
        }  # fmt: skip
        assert entry["data"] == parse(bytes(second.body))
        assert out.server.asked[0].headers["content-type"] == "application/cloudevents+json; charset=utf-8"
        assert row().position == row().previous + 1 == index_of(second) + 1


def test_a_receiver_can_check_an_event_against_the_log(monkeypatch):
    """RFC 8785 of what arrives, behind a zero byte, has the hash of the leaf: by a library that is not ours."""
    with outside(monkeypatch) as out:
        out.destination()
        out.write(text='ü\u2028"<>&')
        out.turn()
        event = out.server.asked[0].json
        again = rfc8785.dumps(event["data"])
        assert hashlib.sha256(b"\0" + again).hexdigest() == event["leafhash"]
        leaf = Leaf.objects.get(index=int(event["sequence"]))
        assert bytes(leaf.leaf_hash).hex() == event["leafhash"]
        assert event["id"] == f"{leaf.index}-{event['leafhash']}"


def test_what_is_not_sealed_does_not_leave(monkeypatch):
    with outside(monkeypatch) as out:
        out.destination()
        written = out.write()
        write(3)
        assert out.turn() == 1
        assert [one for _, [one] in out.told] == [index_of(one) for one in written]
        sequence()
        assert out.turn() == 3


def test_only_the_kinds_that_were_asked_for_leave_and_a_gap_would_be_seen(monkeypatch):
    with outside(monkeypatch) as out:
        out.destination(kinds=["test.wanted", "other.*"])
        wanted = out.write(kind="test.wanted")
        out.write(2)
        wanted += [*out.write(kind="other.thing"), *out.write(kind="test.wanted")]
        out.write(kind="test.wanted_not")
        out.turn()
        events = [one.json for one in out.server.asked]
        indexes = [int(one["sequence"]) for one in events]
        assert indexes == [index_of(one) for one in wanted]
        assert [int(one["previous"]) for one in events[1:]] == indexes[:-1]
        assert row().position == batches.sealed()


def test_a_batch_is_one_request_with_a_key_of_its_own(monkeypatch):
    with outside(monkeypatch) as out:
        out.destination(batch=4)
        written = out.write(6)
        assert out.turn() == 2
        assert [len(found) for _, found in out.told] == [4, 2]
        assert [*chain(*(found for _, found in out.told))] == [index_of(one) for one in written]
        assert len({key for key, _ in out.told}) == 2
        assert out.server.asked[0].headers["content-type"].startswith("application/cloudevents-batch+json")


def test_no_request_is_larger_than_a_mebibyte_of_entries_and_none_is_left_out(monkeypatch):
    monkeypatch.setattr(batches, "BYTES", 2500)
    with outside(monkeypatch) as out:
        out.destination(batch=100)
        small, large = out.write(1)[0], out.write(1, text="x" * 5000)[0]
        rest = out.write(4)
        out.turn()
        found = [found for _, found in out.told]
        assert [*chain(*found)] == [index_of(one) for one in (small, large, *rest)]
        assert [index_of(large)] in found
        assert max(map(len, found)) > 1


def test_names_stay_in_the_house_unless_somebody_agreed_that_they_leave(monkeypatch):
    ActorName.objects.create(actor=TESTER.id, name="Tess Ter", handle="tess")
    with outside(monkeypatch) as out:
        out.destination("silent")
        out.destination("open", names=True)
        out.destination("logs", "otlp", names=True)
        out.write()
        out.turn()
        bodies = sorted((one.body for one in out.server.asked), key=lambda one: b"Tess Ter" in one)
        assert [b"Tess Ter" in one for one in bodies] == [False, True, True]
        ActorName.objects.filter(actor=TESTER.id).delete()
        out.write()
        out.turn()
        assert not any(b"Tess" in one.body for one in out.server.asked[3:])


def test_an_entry_that_somebody_wrote_over_arrives_with_the_hash_that_it_had(monkeypatch):
    with outside(monkeypatch) as out:
        out.destination()
        (entry,) = out.write()
        as_insider("UPDATE audit_entry SET body = %s WHERE id = %s", b"{not an entry", entry.pk)
        out.turn()
        event = out.server.asked[0].json
        assert base64.b64decode(event["data_base64"]) == b"{not an entry"
        assert event["leafhash"] == leaf_hash(bytes(entry.body)).hex()
        assert row().attempts == 0


# --- who it comes from --------------------------------------------------------------------------------------------


def test_the_signature_holds_for_whoever_verifies_standard_webhooks(monkeypatch):
    with outside(monkeypatch) as out:
        out.destination(batch=3)
        out.write(2)
        out.turn()
        (asked,) = out.server.asked
        assert asked.headers["webhook-id"] == asked.headers["idempotency-key"]
        assert Webhook(KEY).verify(asked.body, asked.headers) == asked.json
        with pytest.raises(WebhookVerificationError):
            Webhook(KEY).verify(asked.body + b" ", asked.headers)
        with pytest.raises(WebhookVerificationError):
            Webhook("whsec_" + base64.b64encode(b"another key of thirty-two bytes!").decode()).verify(
                asked.body, asked.headers
            )


def test_e20_a_replay_is_of_an_old_time_for_its_receiver(monkeypatch):
    with outside(monkeypatch) as out:
        out.destination()
        out.write()
        out.turn()
        (asked,) = out.server.asked
        old = str(int(asked.headers["webhook-timestamp"]) - 301)
        with pytest.raises(WebhookVerificationError):
            Webhook(KEY).verify(asked.body, {**asked.headers, "webhook-timestamp": old})


def test_a_newer_value_of_the_secret_signs_at_once_and_which_one_it_was_is_written_down(monkeypatch):
    newer = "whsec_" + base64.b64encode(os.urandom(24)).decode()
    with outside(monkeypatch) as out:
        out.destination()
        out.write(2)
        out.turn()
        assert Entry.objects.filter(kind="destination.secret_used").count() == 1
        store.write(out.secret, newer, by=out.sam)
        out.write()
        out.turn()
        assert Webhook(newer).verify(out.server.asked[-1].body, out.server.asked[-1].headers)
        assert (said("destination.secret_used")["version"], row().secret_version) == ("2", "2")


@pytest.mark.parametrize(
    "value", ["no prefix at all", "whsec_" + base64.b64encode(b"short").decode(), "whsec_%%%%"]
)
def test_what_is_no_key_signs_nothing_and_is_not_told(monkeypatch, value):
    with outside(monkeypatch, secret=value) as out:
        out.destination()
        out.write()
        out.turn()
        assert out.server.asked == []
        assert "no signing key" in row().last_error
        assert value not in row().last_error


def test_a_secret_that_its_owner_took_back_is_used_no_more(monkeypatch):
    with outside(monkeypatch) as out:
        out.destination()
        catalogue.create_environment(slug="test", name="Test", tier=3, position=1, by=TESTER)
        store.edit_governed(out.secret, {"environments": ["test"]}, by=TESTER)
        out.write()
        out.turn()
        assert out.server.asked == []
        assert "platform/siem may not be used by destination-create in control-room" in row().last_error


def test_the_worker_never_sees_the_secret(monkeypatch):
    """What it hands to its child is sealed; the environment of the child holds no credential of ours."""
    handed, environments, popen = [], [], subprocess.Popen
    allowed = {egress.ALLOWED, "SSL_CERT_FILE", "SSL_CERT_DIR", "PATH", "LANG", "COUNTERSIGN_BOOT"}

    def started(argv, **given):
        environments.append(set(given["env"]))
        return popen(argv, **given)

    with outside(monkeypatch) as out:
        monkeypatch.setattr("orchestration.outgoing.sender.subprocess.Popen", started)
        out.destination()
        out.write()
        ask = out.child.ask

        def noted(one):
            handed.append(json.dumps(one))
            return ask(one)

        monkeypatch.setattr(out.child, "ask", noted)
        out.turn()
        assert len(out.server.asked) == len(handed) == len(environments) == 1
        assert KEY not in handed[0]
        assert environments[0] <= allowed


def test_a_fault_of_ours_is_seen_where_people_look_and_ends_nothing(monkeypatch):
    with outside(monkeypatch) as out:
        out.destination()
        out.write()
        with monkeypatch.context() as patch:
            patch.setattr("orchestration.outgoing.cloudevents.event", lambda *_, **__: 1 / 0)
            assert out.turn() == 1
        assert (
            row().last_error == "It could not be written as a message: ZeroDivisionError. Nothing was sent."
        )
        pass_by(minutes=1)
        assert out.turn() == 1
        assert row().attempts == 0


# --- OTLP ---------------------------------------------------------------------------------------------------------


def attributes(pairs):
    return {one.key: one.value.string_value or one.value.int_value for one in pairs}


def test_a_collector_gets_log_records_with_the_bytes_that_were_sealed(monkeypatch):
    with outside(monkeypatch, secret=TOKEN) as out:
        out.destination(kind="otlp", batch=10, kinds=["test.*", "attempt.refused"])
        first, second = out.write(), out.write(kind="attempt.refused")
        assert out.turn() == 1
        (asked,) = out.server.asked
        assert asked.headers["content-type"] == "application/x-protobuf"
        assert asked.headers["authorization"] == TOKEN
        (resource,) = ExportLogsServiceRequest.FromString(asked.body).resource_logs
        assert attributes(resource.resource.attributes)["service.name"] == "countersign"
        (scope,) = resource.scope_logs
        records = list(scope.log_records)
        assert [one.event_name for one in records] == ["test.happened", "attempt.refused"]
        assert [one.severity_text for one in records] == ["INFO", "WARN"]
        for record, entry in zip(records, (*first, *second), strict=True):
            body = record.body.string_value.encode()
            assert body == bytes(entry.body)
            told = attributes(record.attributes)
            assert told["countersign.leaf_hash"] == leaf_hash(body).hex()
            assert told["countersign.index"] == index_of(entry)
            assert record.time_unix_nano // 1000 == round(entry.occurred_at.timestamp() * 1_000_000)
        assert attributes(records[1].attributes)["countersign.previous"] == index_of(first[0])


def test_records_that_a_collector_refuses_are_not_sent_again_and_not_lost(monkeypatch):
    refusal = ExportLogsServiceResponse()
    refusal.partial_success.rejected_log_records = 1
    answer = Told(200, refusal.SerializeToString(), {"Content-Type": "application/x-protobuf"})
    with outside(monkeypatch, lambda _: answer, secret=TOKEN) as out:
        out.destination(kind="otlp")
        out.write()
        out.turn()
        assert (row().stands, row().last_error) == ("given_up", "It refused 1 of the records.")
        assert row().position < batches.sealed()


@pytest.mark.parametrize(
    ("kind", "status", "again"),
    [("otlp", 400, False), ("otlp", 401, False), ("otlp", 429, True), ("otlp", 503, True), ("otlp", 500, True),
     ("webhook", 400, True), ("webhook", 410, False), ("webhook", 302, True)],
)  # fmt: skip
def test_an_answer_that_cannot_get_better_is_not_waited_for(monkeypatch, kind, status, again):
    monkeypatch.setenv(egress.ALLOWED, "127.0.0.1")
    monkeypatch.setattr(outgoing_child, "_credential", lambda *_: {})
    with far(lambda _: Told(status, b"", {"Location": "http://127.0.0.1:1/"})) as server:
        answer = outgoing_child.deliver({**request(server.url), "kind": kind})
        assert answer["why"].startswith(f"It answered with status {status}")
        assert answer["again"] is again
        assert len(server.asked) == 1


def test_what_its_receiver_takes_no_more_is_given_up_at_once(monkeypatch):
    with outside(monkeypatch, lambda _: Told(410)) as out:
        out.destination()
        out.write()
        out.turn()
        assert row().stands == "given_up"
        assert out.turn() == 0


def test_a_collector_without_a_secret_is_asked_without_the_header(monkeypatch):
    with outside(monkeypatch) as out:
        out.destination(kind="otlp", secret="")
        out.write()
        out.turn()
        assert "authorization" not in out.server.asked[0].headers


# --- F36: at least once, in order, with a pause, and then a stop ---------------------------------------------------


@BOTH
def test_f36_a_receiver_that_fails_for_ten_minutes_and_loses_an_answer_misses_nothing(
    monkeypatch, kind, secret
):
    """Then it takes an event and its answer is lost, and it gets the same again under the same key."""
    answers = iter([*[Told(500)] * 7, Told(200, b"", {"Content-Length": "10"})])
    with outside(monkeypatch, lambda _: next(answers, Told(200)), secret=secret) as out:
        out.destination(kind=kind)
        first, second = out.write(2)
        for attempt in range(1, 8):
            assert out.turn() == 1
            assert out.turn() == 0, "it waits for its time"
            assert (row().attempts, row().last_error) == (attempt, "It answered with status 500.")
            pass_by(minutes=10)
        assert out.turn() == 1
        assert "gave no whole answer" in row().last_error
        pass_by(minutes=10)
        assert out.turn() == 2
        keys = [key for key, _ in out.told]
        assert len(set(keys[:9])) == 1, "each attempt has the same key"
        assert [found for _, found in out.told] == [[index_of(first)]] * 9 + [[index_of(second)]]
        assert (row().attempts, row().failing_since, row().last_error) == (0, None, "")
        assert row().position == index_of(second) + 1


def test_f36_a_batch_that_is_sent_again_holds_the_same_although_the_log_has_grown(monkeypatch):
    answers = iter([Told(500)])
    with outside(monkeypatch, lambda _: next(answers, Told(200))) as out:
        out.destination(batch=10)
        out.write(2)
        out.turn()
        out.write(3)
        pass_by(minutes=1)
        assert out.turn() == 2
        (first, two), (again, two_again), (other, three) = out.told
        assert (first, two) == (again, two_again)
        assert (len(two), len(three)) == (2, 3)
        assert other != first
        assert out.server.asked[0].body == out.server.asked[1].body


def test_f36_after_a_day_it_is_given_up_and_a_person_is_told(monkeypatch):
    with outside(monkeypatch, lambda _: Told(500)) as out:
        out.destination()
        out.write()
        for _ in range(deliveries.TRIES - 1):
            assert out.turn() == 1
            pass_by(hours=1)
        assert row().stands == "failing"
        pass_by(hours=24)
        out.turn()
        assert row().stands == "given_up"
        assert said("destination.paused")["why"] == "It answered with status 500."
        pass_by(hours=24)
        assert out.turn() == 0
        count = len(out.server.asked)
        out.server.answers = lambda _: Told(200)
        destinations.resume(row(), reason="The receiver is repaired.", by=out.sam)
        assert out.turn() >= 1
        assert out.told[count] == out.told[0]


def test_f36_a_day_is_not_enough_while_nobody_tried(monkeypatch):
    """The workers were away for a week: one failure more is no reason to give up."""
    with outside(monkeypatch, lambda _: Told(500)) as out:
        out.destination()
        out.write()
        out.turn()
        pass_by(days=7)
        out.turn()
        assert row().stands == "failing"


def test_the_pause_is_anything_up_to_a_bound_that_doubles(monkeypatch):
    asked = []

    def highest(low, high):
        asked.append(low)
        return high

    monkeypatch.setattr(random, "uniform", highest)
    waits = [deliveries.pause(attempts) for attempts in range(1, 14)]
    assert waits[:4] == [5, 10, 20, 40]
    assert waits[-2:] == [3600, 3600]
    assert set(asked) == {0}
    monkeypatch.setattr(random, "uniform", lambda low, _: low)
    assert deliveries.pause(9) == deliveries.LEAST_SECONDS


def test_a_receiver_that_names_a_time_is_not_asked_before(monkeypatch):
    with outside(monkeypatch, lambda _: Told(429, b"", {"Retry-After": "600"})) as out:
        out.destination()
        out.write()
        out.turn()
        pass_by(seconds=595)
        assert out.turn() == 0
        pass_by(seconds=10)
        assert out.turn() == 1


def test_one_that_fails_holds_up_nobody_else(monkeypatch):
    with outside(monkeypatch, lambda asked: Told(500 if asked.path == "/bad" else 200)) as out:
        out.destination("bad", url=f"{out.server.url}/bad")
        out.destination("good")
        out.write(3)
        out.turn()
        assert [one.path for one in out.server.asked].count("/events") == 3
        assert [one.path for one in out.server.asked].count("/bad") == 1


# --- deaths and races ---------------------------------------------------------------------------------------------


@BOTH
def test_f36_a_sender_that_is_killed_and_a_receiver_that_fails_and_takes_it_twice_leave_no_gap(
    monkeypatch, tmp_path, kind, secret
):
    """It dies with the answer in its hands; then 500, then 200 that nobody hears, then 200."""
    (tmp_path / "outgoing.sent").touch()
    answers = iter([Told(200), Told(500), Told(200, b"", {"Content-Length": "10"})])
    with outside(monkeypatch, lambda _: next(answers, Told(200)), secret=secret) as out:
        out.destination(kind=kind, batch=2)
        written = out.write(3)
        parts = urlsplit(os.environ["COUNTERSIGN_DATABASE_URL"])
        here = parts._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
        env = {**os.environ, "COUNTERSIGN_DATABASE_URL": here, VARIABLE: str(tmp_path)}
        killed = subprocess.run(
            [sys.executable, "-m", "tests.orchestration.sends"],
            env={**env, "DJANGO_SETTINGS_MODULE": "config.settings"}, cwd=ROOT, timeout=60, check=False,
        )  # fmt: skip
        assert killed.returncode == -9
        assert len(out.told) == 1
        assert row().delivered_at is None
        assert out.turn() == 0, "the lease of the dead one has not ended"
        pass_by(seconds=130)
        for _ in range(2):
            assert out.turn() == 1
            pass_by(minutes=10)
        written += out.write(2)
        assert out.turn() == 3
        assert [key for key, _ in out.told[:4]] == [out.told[0][0]] * 4, "each attempt has the same key"
        taken = dict(chain(*map(arrived, out.server.asked)))  # who has seen an index takes it once
        assert list(taken) == [index_of(one) for one in written]
        assert list(taken.values())[1:] == list(taken)[:-1], "each names the one before: there is no gap"
        assert row().position == batches.sealed()


def test_f36_two_workers_serve_a_destination_one_at_a_time_and_in_order(monkeypatch):
    meanwhile = []

    def answers(_):
        meanwhile.append(deliveries.claim())
        connection.close()
        return Told(200)

    with outside(monkeypatch, answers) as out:
        out.destination()
        written = out.write(12)
        barrier, children = threading.Barrier(2, timeout=20), [sender.Child(), sender.Child()]

        def work(child):
            barrier.wait()
            try:
                while row().position < batches.sealed():
                    sender.turn(out.node, child)
            finally:
                child.close()
                connection.close()

        threads = [threading.Thread(target=work, args=(one,)) for one in children]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert [one for _, [one] in out.told] == [index_of(one) for one in written]
        assert meanwhile == [None] * 12


def test_who_lost_the_lease_writes_nothing_down(monkeypatch):
    """It was slow, another one sends; what the slow one learns comes too late."""
    with outside(monkeypatch) as out:
        out.destination()
        out.write()
        slow = deliveries.claim()
        pass_by(seconds=130)
        quick = deliveries.claim()
        assert slow
        assert quick
        assert quick.batch == slow.batch
        assert not deliveries.settle(slow, {"why": "", "again": False, "after": 0})
        deliveries.settle(slow, {"why": "It answered with status 500.", "again": False, "after": 0})
        assert (row().lease, row().attempts, row().paused_at) == (quick.lease, 0, None)
        assert deliveries.settle(quick, {"why": "", "again": False, "after": 0})


def test_a_child_that_dies_is_replaced_and_the_event_is_sent_again(monkeypatch):
    with outside(monkeypatch) as out:
        out.destination()
        out.write()

        def kill(_):
            out.child._process.kill()
            return Told(200)

        out.server.answers = kill
        out.turn()
        assert (row().attempts, row().last_error) == (1, "Its sender vanished; it may have arrived.")
        out.server.answers = lambda _: Told(200)
        pass_by(minutes=1)
        assert out.turn() == 1
        assert out.told[0] == out.told[1]


def test_a_worker_that_may_not_act_in_the_control_room_sends_nothing(monkeypatch):
    with outside(monkeypatch) as out:
        out.destination()
        out.write()
        with monkeypatch.context() as patch:
            patch.setattr(
                "orchestration.engine.enrolled._may_act_in", lambda _, place: place != "control-room"
            )
            assert out.turn() == 0
        with monkeypatch.context() as patch:
            patch.setattr("orchestration.engine.nodes.draining", lambda: True)
            assert out.turn() == 0
        assert out.server.asked == []
        assert out.turn() == 1


def test_the_thread_goes_on_after_a_fault_of_ours_and_without_a_pause_while_there_is_more(
    monkeypatch, settings
):
    settings.POLL_SECONDS = 0.05
    monkeypatch.setattr(sender, "TURN", 2)
    turns, turn = [], sender.turn

    def faulty(*given):
        turns.append(1)
        return 1 / 0 if len(turns) == 1 else turn(*given)

    monkeypatch.setattr(sender, "turn", faulty)
    with outside(monkeypatch) as out:
        out.destination()
        written = out.write(5)
        sender.start(out.node)
        wait_for(lambda: row().position == batches.sealed(), what="everything has left", seconds=20)
        assert [one for _, [one] in out.told] == [index_of(one) for one in written]
        (thread,) = [one for one in threading.enumerate() if one.name == "sender"]
        out.node.stop()
        thread.join(10)
        assert not thread.is_alive()
    assert len(turns) >= 4


# --- X09: no way in through the way out ---------------------------------------------------------------------------


@pytest.fixture
def child(db):
    made = sender.Child()
    yield made
    made.close()


def request(url):
    body = base64.b64encode(b"{}").decode()
    return {"kind": "otlp", "url": url, "headers": {}, "header": "", "secret": None, "body": body}


def test_x09_no_disguise_of_a_private_place_is_a_destination(child, monkeypatch):
    monkeypatch.delenv(egress.ALLOWED, raising=False)
    witness = Witness()
    try:
        urls = [f"{scheme}://{f'[{host}]' if ':' in host else host}:{witness.port}/" for host in [*PRIVATE, *DISGUISED]
                for scheme in ("https", "http")]  # fmt: skip
        urls += [one.format(port=witness.port) for one in NO_PLACES]
        answers = {url: child.ask(request(url)) for url in urls}
        assert {url: one["why"] for url, one in answers.items() if "nothing was sent" not in one["why"]} == {}
        assert witness.count == 0
    finally:
        witness.close()


def test_x09_metadata_stays_closed_where_an_operator_allows_it_and_a_listed_host_is_reached(
    child, monkeypatch
):
    monkeypatch.setenv(egress.ALLOWED, "127.0.0.1,169.254.169.254,::ffff:169.254.169.254")
    witness = Witness()
    try:
        for host in ("169.254.169.254", "[::ffff:169.254.169.254]"):
            assert "which no step may talk to" in child.ask(request(f"http://{host}:{witness.port}/"))["why"]
        assert witness.count == 0
        assert "no whole answer" in child.ask(request(f"http://127.0.0.1:{witness.port}/"))["why"]
        assert witness.count == 1
    finally:
        witness.close()


def test_x09_nothing_is_sent_in_the_clear_to_whom_no_operator_allowed(child, monkeypatch):
    monkeypatch.delenv(egress.ALLOWED, raising=False)
    assert "in the clear; nothing was sent" in child.ask(request("http://siem.bank.example/"))["why"]


def test_a_header_that_is_none_is_refused_without_repeating_it(child, monkeypatch, tmp_path):
    folder = tmp_path / "siem" / "token"
    folder.mkdir(parents=True)
    (folder / "1").write_text("Bearer secret\r\nX-Evil: 1")
    version = files.current(str(tmp_path), "siem/token")
    given = {"path": "siem/token", "provider": "files", "folder": str(tmp_path), "source": "siem/token",
             "version": version}  # fmt: skip
    asked = {**request("https://siem.bank.example/"), "secret": given, "header": "Authorization"}
    why = child.ask(asked)["why"]
    assert "no header may hold" in why
    assert "Evil" not in why


def test_a_receiver_that_never_answers_costs_half_a_minute_and_no_more(monkeypatch):
    """Its time is the child's, and shorter than what the worker waits, and that shorter than the lease."""
    assert outgoing_child.SECONDS < sender.ANSWER_SECONDS
    assert timedelta(seconds=2 * sender.ANSWER_SECONDS) < deliveries.LEASE
    monkeypatch.setenv(egress.ALLOWED, "127.0.0.1")
    monkeypatch.setattr(outgoing_child, "SECONDS", 0.4)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        answer = outgoing_child.deliver(request(f"http://127.0.0.1:{silent.getsockname()[1]}/"))
    assert "gave no whole answer" in answer["why"]
    assert answer["again"]
