"""Exports: asked for by a reader, made by a worker, taken by whoever asked; each format as others read it."""

import csv
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import threading
import zipfile
from datetime import timedelta
from pathlib import Path
from uuid import UUID
from xml.etree import ElementTree

import pytest
from django.db import connections
from django.db.models.functions import Now

from audit.alone import alone
from audit.canonical import parse
from audit.ledger import checkpoint
from audit.ledger.entry import Actor
from audit.models import Checkpoint, Entry, Export, ExportPart
from audit.refusals import Invalid, MoveNotAllowed, NotFound
from audit.reports import exports, paper, sheet
from audit.reports.manifest import sealed
from tests.accounts.cast import issue, person, team
from tests.audit.log import sequence, write
from tests.audit.offline import check
from tests.audit.reported import WORDS, Reported

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_key")]
API = "/api/v1/reports/exports/"
READERS = Path(".venv/readers")  # others' programs that read what we write: `make readers`
FORMATS = Export.Format.values


@pytest.fixture(autouse=True)
def calls(monkeypatch):
    """What the workers were told: there is none here, a test is the worker."""
    told: list[UUID] = []
    monkeypatch.setattr(exports, "call", told.append)
    return told


@pytest.fixture
def world():
    return Reported()


def by(user):
    return Actor(str(user.pk), "person", "session")


def made(world, kind, **asked):
    """An export of this format, made; and its bytes."""
    one = exports.ask({"format": kind, **asked}, by=by(world.petra))
    exports.work(one.pk)
    one.refresh_from_db()
    assert one.state == "done", one.problem
    return one, b"".join(exports.hand_out(one, by=by(world.petra)))


def read(program, data, *arguments):
    """Another's program reads the bytes; what it says, or the test is left out where it is not installed."""
    if not READERS.exists():
        pytest.skip(
            "LOUD: no trestle, in-toto and securesystemslib; exports were not read with them: make readers"
        )
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(READERS.resolve())}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], check=False, input=data, env=env, capture_output=True
    )
    return done.returncode, done.stdout.decode() + done.stderr.decode()


# --- asking, making, taking ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
def test_each_format_is_made_told_in_the_ledger_and_taken(world, kind):
    one, data = made(world, kind)
    assert one.digest == "sha256:" + hashlib.sha256(data).hexdigest()
    assert one.size == len(data) > 0
    told = parse(bytes(Entry.objects.get(kind="export.created").body))
    assert told["actor"]["id"] == one.actor
    assert (
        told["data"] | {"what": kind, "digest": one.digest, "rows": one.rows, "export": str(one.pk)}
        == told["data"]
    )
    taken = parse(bytes(Entry.objects.get(kind="export.taken").body))
    assert taken["data"] == {"export": str(one.pk), "digest": one.digest}


def test_a_reader_asks_watches_and_takes_in_the_browser(world, calls):
    client = world.client()
    assert "Nothing was exported yet" in client.get("/compliance/exports/").content.decode()
    sent = client.post("/compliance/exports/", {"format": "csv", "environment": "production"})
    [key] = calls
    assert sent.headers["Location"] == f"/compliance/exports/{key}/"
    page = client.get(sent.headers["Location"]).content.decode()
    assert "Waits for a worker" in page
    assert 'hx-trigger="every 1s"' in page
    assert client.post(f"{sent.headers['Location']}file/").status_code == 409
    exports.work(key)
    page = client.get(sent.headers["Location"]).content.decode()
    assert "Take the file" in page
    assert "hx-trigger" not in page
    assert client.get(f"{sent.headers['Location']}file/").status_code == 405, (
        "what leaves the house is a POST"
    )
    answer = client.post(f"{sent.headers['Location']}file/")
    data = b"".join(answer.streaming_content)
    assert zipfile.ZipFile(io.BytesIO(data)).testzip() is None
    assert re.fullmatch(
        r'attachment; filename="countersign-tests-\d+.zip"', answer.headers["Content-Disposition"]
    )


@pytest.mark.parametrize(
    ("asked", "where"),
    [({"format": "doc"}, "/format"), ({"from": "yesterday"}, "/from"), ({"framework": "X"}, "/framework"),
     ({"from": "2026-02-02", "to": "2026-02-01"}, "/to"), ({"checkpoint": "x"}, "/checkpoint")],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_and_nothing_is_made(world, asked, where):
    with pytest.raises(Invalid, match=r"^Nothing was exported: ") as refused:
        exports.ask({"format": "csv", **asked}, by=by(world.petra))
    assert refused.value.errors[0]["pointer"] == where
    if "checkpoint" not in asked:  # the page has no such field
        assert world.client().post("/compliance/exports/", {"format": "csv", **asked}).status_code == 422
    assert not Export.objects.exists()


def test_an_export_is_its_makers_and_ends_with_the_right_to_read(world, calls):
    one, _ = made(world, "csv")
    url = f"/compliance/exports/{one.pk}/"
    rita = person("Rita", "audit")
    hugo = person("Hugo", "elsewhere")
    assert world.client(rita).get(url).status_code == 404, "another reader's"
    assert world.client(rita).post(f"{url}file/").status_code == 404
    assert str(one.pk) not in world.client(rita).get("/compliance/exports/").content.decode()
    for address in ("/compliance/exports/", url, API, f"{API}{one.pk}/", f"{API}{one.pk}/file"):
        assert world.client(hugo).get(address).status_code == 403, address
    assert world.client(hugo).post("/compliance/exports/", {"format": "csv"}).status_code == 403
    assert world.client().get(url).status_code == 200
    team("audit").group.permissions.clear()
    assert world.client().post(f"{url}file/").status_code == 403, "the time of an auditor is over"
    assert Entry.objects.filter(kind="export.taken").count() == 1
    assert Export.objects.count() == 1


def test_what_no_person_asked_for_is_there_for_every_reader(world):
    one = exports.ask({"format": "csv"}, by=Actor("system:reports", "system", "system"))
    rita = person("Rita", "audit")
    assert world.client(rita).get(f"/compliance/exports/{one.pk}/").status_code == 200


def test_the_api_asks_once_for_a_key_and_hands_out_the_file(world, calls):
    token = issue(world.petra, "reports:read").value
    client, auth = world.client(), {"Authorization": f"Bearer {token}"}

    def post(body, key="k1"):
        return client.post(
            API, body, content_type="application/json", headers={**auth, "Idempotency-Key": key}
        )

    assert post({"format": "exe"}).status_code == 422
    assert post({"format": "csv", "colour": "red"}).status_code == 422
    first = post({"format": "csv", "from": "2026-01-01", "framework": "SOC 2"})
    assert first.status_code == 201, first.content
    assert post({"format": "csv", "from": "2026-01-01", "framework": "SOC 2"}).json() == first.json()
    assert post({"format": "pdf"}, key="k2").json()["code"] == "export_under_way"
    told = client.get(f"{API}{first.json()['id']}/", headers=auth).json()
    assert (told["state"], told["file"], told["asked"]["from"]) == ("queued", None, "2026-01-01")
    assert client.get(f"{API}{told['id']}/file", headers=auth).status_code == 409
    exports.work(calls[0])
    [told] = client.get(API, headers=auth).json()["results"]
    assert (told["state"], told["done"]) == ("done", told["checkpoint_size"])
    data = b"".join(client.get(told["file"], headers=auth).streaming_content)
    assert told["digest"] == "sha256:" + hashlib.sha256(data).hexdigest()
    other = issue(world.petra, "changes:read").value
    assert client.get(API, headers={"Authorization": f"Bearer {other}"}).status_code == 403


def test_a_worker_that_is_gone_is_followed_and_the_third_is_the_last(world):
    one = exports.ask({"format": "csv"}, by=by(world.petra))
    row = Export.objects.filter(pk=one.pk)
    row.update(state="running", turn=1)
    assert exports.sweep() == [], "it moved just now"
    exports.work(one.pk)
    assert row.get().turn == 1, "another has it"
    row.update(seen_at=Now() - timedelta(minutes=2))
    assert exports.sweep() == [one.pk]
    exports.work(one.pk)
    assert (row.get().state, row.get().turn, row.get().lost) == ("done", 2, 1)
    row.update(state="running", lost=2, seen_at=Now() - timedelta(minutes=2))
    assert exports.sweep() == []
    assert row.get().state == "failed"
    assert "3 workers ended over it" in row.get().problem


def test_who_was_overtaken_finishes_nothing(world, monkeypatch):
    one = exports.ask({"format": "csv"}, by=by(world.petra))
    make = exports.MAKERS[Export.Format.CSV]

    def slow(material):
        Export.objects.filter(pk=one.pk).update(turn=7)  # another took it up meanwhile
        return make(material)

    monkeypatch.setitem(exports.MAKERS, "csv", slow)
    exports.work(one.pk)
    assert Export.objects.get().state == "running"
    assert not ExportPart.objects.exists()
    assert not Entry.objects.filter(kind="export.created").exists()


def test_one_is_made_at_a_time(world):
    one = exports.ask({"format": "csv"}, by=by(world.petra))
    inside, go_on = threading.Event(), threading.Event()

    def hold():
        with alone(exports.LOCK) as mine:
            assert mine
            inside.set()
            go_on.wait(10)
        connections.close_all()

    other = threading.Thread(target=hold)
    other.start()
    assert inside.wait(10)
    exports.work(one.pk)
    assert Export.objects.get().state == "queued"
    go_on.set()
    other.join()
    exports.work(one.pk)
    assert Export.objects.get().state == "done"


def test_how_far_it_is_is_told_while_entries_are_read(world, monkeypatch):
    write(1500)
    sequence()
    one = exports.ask({"format": "csv"}, by=by(world.petra))
    seen = []
    make = exports.MAKERS[Export.Format.CSV]

    def watched(material):
        seen.append(Export.objects.get().done)
        return make(material)

    monkeypatch.setitem(exports.MAKERS, "csv", watched)
    exports.work(one.pk)
    assert seen == [1000]
    assert Export.objects.get().done == Export.objects.get().checkpoint_size


def test_a_cancelled_export_ends_its_worker_and_leaves_nothing(world, monkeypatch):
    one = exports.ask({"format": "csv"}, by=by(world.petra))
    make = exports.MAKERS[Export.Format.CSV]

    def cancelled_meanwhile(material):
        file = make(material)
        assert world.client().post(f"/compliance/exports/{one.pk}/cancel/").status_code == 302
        return file

    monkeypatch.setitem(exports.MAKERS, "csv", cancelled_meanwhile)
    exports.work(one.pk)
    one.refresh_from_db()
    assert (one.state, ExportPart.objects.count()) == ("cancelled", 0)
    assert not Entry.objects.filter(kind="export.created").exists()
    told = parse(bytes(Entry.objects.get(kind="export.cancelled").body))
    assert told["data"] == {"export": str(one.pk), "what": "csv", "asked_by": one.actor}
    assert told["actor"]["id"] == one.actor
    exports.work(one.pk)
    one.refresh_from_db()
    assert one.state == "cancelled", "nobody takes it up"
    assert world.client().post(f"/compliance/exports/{one.pk}/cancel/").status_code == 409


def test_a_worker_hears_of_a_cancel_while_it_reads(world, monkeypatch):
    write(2000)
    sequence()
    one = exports.ask({"format": "csv"}, by=by(world.petra))
    heard, tell = [], exports._teller(one)

    def cancel_at_the_first(_):
        def told(done):
            heard.append(done)
            exports.cancel(one, user=world.petra, by=by(world.petra))
            tell(done)

        return told

    monkeypatch.setattr(exports, "_teller", cancel_at_the_first)
    exports.work(one.pk)
    assert heard == [1000], "and reads no further"
    assert Export.objects.get().state == "cancelled"


def test_an_admin_cancels_the_export_of_another_and_never_takes_it(world, calls):
    one = exports.ask({"format": "csv"}, by=by(world.petra))
    url, door = f"/compliance/exports/{one.pk}/", f"{API}{one.pk}/cancel/"
    rita, adam = world.client(person("Rita", "audit")), world.client(person("Adam", superuser=True))
    assert rita.post(f"{url}cancel/").status_code == 404
    assert rita.post(door).status_code == 404
    schedule = exports.ask({"format": "pdf"}, by=Actor("system:schedule", "system", "system"))
    assert rita.post(f"{API}{schedule.pk}/cancel/").json()["code"] == "not_allowed"
    assert adam.post(door).json()["state"] == "cancelled"
    page = world.client().get(url).content.decode()
    assert "Cancelled by an admin." in page
    again = re.findall(
        r'<input type="hidden" name="(\w+)" value="(.*?)">', page.partition("Ask for it again")[0]
    )
    form = {name: value for name, value in again if name != "csrfmiddlewaretoken"}
    assert world.client().post("/compliance/exports/", form).status_code == 302, "one click"
    exports.work(calls[-1])
    found = Export.objects.get(pk=calls[-1])
    assert (found.state, found.asked) == ("done", one.asked)
    assert adam.post(f"/compliance/exports/{found.pk}/file/").status_code == 403
    assert adam.get(f"{API}{found.pk}/file").status_code == 403
    assert not Entry.objects.filter(kind="export.taken").exists()


def test_files_go_when_their_time_is_over_and_what_they_were_stays(world, settings):
    one, _ = made(world, "csv")
    settings.EXPORT_DAYS = 0
    Export.objects.update(ended_at=Now() - timedelta(days=400))
    exports.sweep()
    assert ExportPart.objects.exists(), "0 keeps them"
    settings.EXPORT_DAYS = 400
    exports.sweep()
    one.refresh_from_db()
    assert (one.state, ExportPart.objects.count()) == ("removed", 0)
    with pytest.raises(exports.FileGone):
        exports.hand_out(one, by=by(world.petra))
    assert (
        "was removed when its time was over"
        in world.client().get(f"/compliance/exports/{one.pk}/").content.decode()
    )


def test_what_is_too_large_is_refused_and_nothing_of_it_is_kept(world, monkeypatch):
    monkeypatch.setattr(exports, "MOST_BYTES", 100)
    one = exports.ask({"format": "csv"}, by=by(world.petra))
    exports.work(one.pk)
    one.refresh_from_db()
    assert (one.state, ExportPart.objects.count()) == ("failed", 0)
    assert "larger than" in one.problem
    with pytest.raises(MoveNotAllowed):
        exports.hand_out(one, by=by(world.petra))


def test_a_log_without_a_checkpoint_has_nothing_to_export(db):
    with pytest.raises(NotFound, match="Nothing was exported"):
        exports.ask({"format": "csv"}, by=by(person("Petra", "audit")))


# --- what is in the files -----------------------------------------------------------------------------------


def test_the_csv_counts_every_row_and_its_manifest_says_so(world):
    _, data = made(world, "csv", framework="SOC 2")
    files = zipfile.ZipFile(io.BytesIO(data))
    manifest = json.loads(files.read("manifest.json"))
    for told in manifest["files"]:
        assert hashlib.sha256(files.read(told["name"])).hexdigest() == told["sha256"]
    population = list(csv.DictReader(io.StringIO(files.read("population.csv").decode())))
    results = list(csv.DictReader(io.StringIO(files.read("results.csv").decode())))
    raw = [json.loads(line) for line in files.read("results.jsonl").splitlines()]
    assert manifest["rows"] == len(population)
    executions = [row["change"] for row in population if row["kind"] == "execution"]
    assert executions == [world.change, "CHG-666"]
    assert len(results) == len(raw) == sum(one["population"] for one in manifest["controls"])
    indexes = [row["index"] for row in raw if row["index"] is not None]
    assert (manifest["min_index"], manifest["max_index"]) == (min(indexes), max(indexes))
    assert {row["result"] for row in csv.DictReader(io.StringIO(files.read("exceptions.csv").decode()))} == {
        "fail", "indeterminate",
    }  # fmt: skip
    assert manifest["checkpoint"] == Checkpoint.objects.latest("size").note
    assert "CT-04" not in {one["id"] for one in manifest["controls"]}, "no evidence for SOC 2"
    assert manifest["query"] == 'framework:"SOC 2"'


@pytest.fixture
def unpacked(world, tmp_path):
    """The files of an export in a folder of their own, and a bundle made after it."""

    def unpack(kind, **asked):
        _, data = made(world, kind, **asked)
        zipfile.ZipFile(io.BytesIO(data)).extractall(tmp_path / kind)
        sequence()
        _, log = made(world, "bundle")
        (tmp_path / "log.zip").write_bytes(log)
        return tmp_path / kind / "manifest.json"

    return unpack


def against(manifest):
    return [
        "population",
        manifest,
        "--bundle",
        manifest.parent.parent / "log.zip",
        "--key",
        checkpoint.verifier(),
    ]


def test_the_tables_are_counted_again_without_us_and_held_against_the_log(unpacked, capsys):
    manifest = unpacked("csv", environment="production")
    said = json.loads(manifest.read_text())
    assert said["totals"]["execution"] == 1
    assert said["query_digest"] == "sha256:" + hashlib.sha256(b"environment:production").hexdigest()
    code, told = check(capsys, "population", manifest)
    assert code == 0, told
    assert f"{said['rows']} items and the results of {len(said['controls'])} control tests" in told
    assert "give --bundle" in told.partition("Not checked")[2]
    code, told = check(capsys, *against(manifest))
    assert code == 0, told
    assert "each of the 1 executions of the list began at the entry that it names" in told
    assert "whether the server made this list" not in told
    assert "whether each result follows from the log" in told.partition("Not checked")[2]


def test_the_manifest_of_a_workbook_vouches_for_its_bytes_and_says_that_no_sheet_was_read(unpacked, capsys):
    manifest = unpacked("xlsx")
    code, told = check(capsys, *against(manifest))
    assert (code, "the workbook, which this program does not read" in told) == (0, True), told
    assert "began at the entry" not in told
    book = manifest.parent / "results.xlsx"
    book.write_bytes(book.read_bytes()[:-1] + b"x")
    assert check(capsys, "population", manifest)[0] == 1


def line_gone(text):
    return "".join(text.splitlines(keepends=True)[:-1])


FORGED = [
    ("population.csv", line_gone, "manifest counts another number"),
    ("population.csv", lambda text: text.replace("\r\n1,execution", "\r\n1,executing"), "control totals"),
    ("population.csv", lambda text: text.replace(",RUN-666,", ",RUN-667,"), "did not begin at entry"),
    ("results.csv", lambda text: text.replace(",fail,", ",pass,", 1), "say different things"),
    ("results.jsonl", line_gone, "say different things"),
    ("exceptions.csv", line_gone, "leaves out what did not pass"),
]


def test_whoever_writes_a_new_manifest_for_other_tables_is_found(unpacked, capsys):
    """The hashes of the files and of the manifest fit again: what is counted, or the log, does not."""
    manifest = unpacked("csv")
    right = manifest.read_bytes()
    for name, change, words in FORGED:
        file, said = manifest.parent / name, json.loads(right)
        was = file.read_bytes()
        file.write_bytes(change(was.decode()).encode())
        del said["digest"]
        [told] = [one for one in said["files"] if one["name"] == name]
        told |= {
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "rows": told["rows"] - (change is line_gone),
        }
        manifest.write_bytes(sealed(said)[0])
        code, answer = check(capsys, *against(manifest))
        assert (code, words in answer) == (1, True), f"{name}: {answer}"
        file.write_bytes(was)
    manifest.write_bytes(right)
    assert check(capsys, *against(manifest))[0] == 0


def test_the_same_question_gives_the_same_rows(world):
    files = [zipfile.ZipFile(io.BytesIO(made(world, "csv", checkpoint=str(size))[1])) for size in _sizes()]
    for name in ("population.csv", "results.csv", "results.jsonl"):
        assert files[0].read(name) == files[1].read(name)


def _sizes():
    size = Checkpoint.objects.latest("size").size
    yield size
    write(3)
    sequence()
    yield size


def tree_of(book, name):
    return ElementTree.fromstring(book.read(name))  # noqa: S314 - our own file


def test_x17_no_cell_of_a_csv_or_a_workbook_is_a_formula(world):
    rows = csv.DictReader(
        io.StringIO(zipfile.ZipFile(io.BytesIO(made(world, "csv")[1])).read("population.csv").decode())
    )
    environments = [row["environment"] for row in rows if row["kind"] == "execution"]
    assert environments == ["production", f"'{WORDS}"]
    packed = zipfile.ZipFile(io.BytesIO(made(world, "xlsx")[1]))
    assert packed.namelist() == ["results.xlsx", "README.txt", "manifest.json"]
    book = zipfile.ZipFile(packed.open("results.xlsx"))
    names = [name for name in book.namelist() if name.startswith("xl/worksheets/sheet")]
    assert len(names) == 4
    trees = [tree_of(book, name) for name in names]
    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    assert not any(list(tree.iter(f"{space}f")) for tree in trees)
    texts = [one.text for one in trees[1].iter(f"{space}t")]
    assert f"'{WORDS}" in texts
    assert not any((text or "").startswith(sheet.FORMULA) for text in texts)
    head = tree_of(book, "xl/workbook.xml")
    assert [one.attrib["name"] for one in head.iter(f"{space}sheet")] == [
        "Manifest", "Population", "Results", "Exceptions",
    ]  # fmt: skip


def test_the_paper_holds_a_page_for_each_test_who_signed_and_no_markup_of_others(world, monkeypatch):
    drawn, clean = [], paper._clean

    def watched(text):
        drawn.append(text)
        return clean(text)

    monkeypatch.setattr(paper, "_clean", watched)
    _, data = made(world, "pdf")
    assert data.startswith(b"%PDF-")
    said = "\n".join(drawn)
    root = bytes(Checkpoint.objects.latest("size").root).hex()
    for words in ("CT-01. Every execution", "approved, as Service owner", "Jonas", root):
        assert words in said
    assert "ompliant" not in said
    assert paper._clean(WORDS) == "=1+1 &lt;img src='x'/&gt; [U+65E5]"
    pages = int(re.findall(rb"/Count (\d+)", data)[0])
    assert pages >= 1 + 7 + 1


TRESTLE = """
import json, sys
from trestle.oscal.assessment_results import AssessmentResults
said = json.loads(sys.stdin.buffer.read())
told = AssessmentResults.model_validate(said["assessment-results"])
print(told.oscal_serialize_json())
"""


def moments_alike(value):
    """The same document with each moment in one spelling."""
    text = re.sub(r"(T\d\d:\d\d:\d\d)(\.\d+)?(Z|\+00:00)", r"\1Z", json.dumps(value))
    return json.loads(text)


def test_oscal_is_what_trestle_reads_and_writes_again(world):
    _, data = made(world, "oscal")
    said = json.loads(data)["assessment-results"]
    code, told = read(TRESTLE, data)
    assert code == 0, told
    assert moments_alike(json.loads(told)) == moments_alike({"assessment-results": said})
    bad = data.replace(said["results"][0]["uuid"].encode(), b"not-a-uuid")
    code, told = read(TRESTLE, bad)
    assert code != 0
    [result] = said["results"]
    states = {one["target"]["target-id"]: one["target"]["status"]["state"] for one in result["findings"]}
    assert (states["ct-01"], states["ct-04"]) == ("not-satisfied", "satisfied")
    assert all(one["methods"] == ["TEST"] for one in result["observations"])


DSSE = """
import base64, json, sys
from google.protobuf.json_format import Parse
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey
for line in sys.stdin.buffer.read().splitlines():
    envelope = Envelope.from_dict(json.loads(line))
    key = SSlibKey(next(iter(envelope.signatures)), "ed25519", "ed25519", {"public": sys.argv[1]})
    envelope.verify([key], 1)
    Statement.copy_from_pb(Parse(envelope.payload, statement_pb2.Statement())).validate()
    print(envelope.payload.decode())
"""


def test_attestations_are_what_others_verify_and_read(world):
    one, data = made(world, "dsse")
    key = parse(bytes(Entry.objects.get(kind="export.created").body))["data"]["key"]
    code, told = read(DSSE, data, key)
    assert code == 0, told
    said = [json.loads(line) for line in told.splitlines()]
    assert len(said) == one.rows == 4, "two for each execution"
    summary, authorisation, rogue, _ = (one["predicate"] for one in said)
    assert (summary["verificationResult"], rogue["verificationResult"]) == ("PASSED", "FAILED")
    assert "COUNTERSIGN_CT_01_V2" in summary["verifiedLevels"]
    assert [one["stage"] for one in authorisation["approvals"]] == ["Service owner", "Security"]
    assert len(authorisation["proofs"]) == 4, "start, permit, two approvals"
    assert all(text.endswith(authorisation["checkpoint"]) for text in authorisation["proofs"].values())
    other = "00" * 32
    assert read(DSSE, data, other)[0] != 0
    assert read(DSSE, data.replace(b'"payload":"ey', b'"payload":"eY'), key)[0] != 0
    answer = world.client().get("/api/v1/reports/attestation-key")
    assert answer.content.startswith(b"-----BEGIN PUBLIC KEY-----")
