"""The log as readers, machines and monitors see it: nothing without the right to read, no proof that does not hold."""

import base64
import csv
import hashlib
import html
import io
import json
import re
import subprocess
import sys
import zipfile
from urllib.parse import urlencode

import pytest

from accounts.models import User
from audit.canonical import canonical, parse
from audit.ledger import checkpoint, merkle
from audit.models import Checkpoint, Entry, Leaf
from audit.reports import sheet
from tests.accounts.cast import bearer, issue, person, team
from tests.audit.log import as_insider, sequence, stream, write
from tests.audit.offline import check

pytestmark = [
    pytest.mark.django_db(transaction=True),  # an export is recorded, a refusal too
    pytest.mark.filterwarnings("ignore:No directory at"),  # static files are collected in production only
    pytest.mark.usefixtures("own_key"),
]
ADDRESSES = [
    "/audit/",
    "/audit/3/",
    "/audit/3/entry.json",
    "/audit/3/proof",
    "/audit/checkpoints/",
    "/audit/verify.py",
]
API = ["/api/v1/audit/entries/", "/api/v1/audit/entries/3/", "/api/v1/audit/entries/3/proof"]


@pytest.fixture
def read(client, auditor):
    """GET as an auditor; the text."""
    client.force_login(auditor, backend="django.contrib.auth.backends.ModelBackend")

    def get(path, status=200):
        response = client.get(path)
        assert response.status_code == status, response.content[:500]
        return response.content.decode()

    return get


@pytest.fixture
def log(auditor):
    """Entries of the auditor's own making, a stream of three, 300 others; two checkpoints."""
    sequence()
    stream(3)
    write(150, kind="change.approved", was="waiting")
    write(150, kind="attempt.refused", code="not_allowed")
    sequence()


def newest():
    return Leaf.objects.order_by("-index").values_list("index", flat=True)[0]


# --- who may read --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*ADDRESSES, *API, "/api/v1/audit/consistency?from=1&to=2"])
def test_nobody_reads_the_log_without_the_right_to(client, log, path):
    assert client.get(path).status_code in {302, 401}
    client.force_login(person("Mara", "payments"), backend="django.contrib.auth.backends.ModelBackend")
    assert client.get(path).status_code == 403


def test_who_left_the_auditors_reads_no_more(client, auditor, read):
    from accounts import teams
    from tests.accounts.cast import TEST

    read("/audit/")
    teams.leave(team("auditors"), auditor, by=TEST)
    read("/audit/", status=403)


def test_the_rail_shows_the_log_to_its_readers_only(client, read):
    assert 'href="/audit/"' in read("/people/")
    client.force_login(person("Mara"), backend="django.contrib.auth.backends.ModelBackend")
    assert 'href="/audit/"' not in client.get("/people/").content.decode()


def test_a_token_needs_the_scope_and_its_account_the_right(client, log, auditor):
    good, scopeless = issue(auditor, "audit:read"), issue(auditor, "changes:read")
    stranger = issue(person("Mara"), "audit:read")
    assert client.get(API[0], **bearer(good)).status_code == 200
    assert client.get(API[0], **bearer(scopeless)).json()["code"] == "scope_missing"
    assert client.get(API[0], **bearer(stranger)).json()["code"] == "not_allowed"


# --- the pages -----------------------------------------------------------------------------------------------


def test_the_log_is_listed_newest_first_in_few_queries(read, log, django_assert_max_num_queries, monkeypatch):
    monkeypatch.setattr("audit.pages.integrity.KNOWN_SECONDS", 60.0)
    read("/audit/")
    with django_assert_max_num_queries(28):
        page = read("/audit/")
    assert "Verified to entry" in page
    assert "Attempt refused" in page
    assert page.index(f'href="/audit/{newest()}/"') < page.index(f'href="/audit/{newest() - 1}/"')


def test_pages_follow_each_other_without_a_gap(read, log):
    seen, path = [], "/audit/?q=kind:change.approved"
    while path:
        page = read(path)
        seen += [int(one) for one in re.findall(r'class="mono" href="/audit/([0-9]+)/', page)]
        path = (
            page.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
            if 'rel="next"' in page
            else ""
        )
        path = path and f"/audit/{path}"
    assert (
        seen
        == sorted(Leaf.objects.filter(entry__kind="change.approved").values_list("index", flat=True))[::-1]
    )
    back = read(f"/audit/?after={seen[-1]}&q=kind:change.approved")
    assert f'href="/audit/{seen[-2]}/' in back


@pytest.mark.parametrize(
    ("question", "fits"),
    [
        ("kind:test.moved", 3),
        ("kind:change.*", 150),
        ("kind:change.* from:2999-01-01", 0),
        ("actor:system:test kind:test.*", 3),
        ("subject:t-s", 3),
        ('"attempt.ref"', 150),
        ("actor:nobody", 0),
        ("%", 0),
    ],
)
def test_a_search_finds_what_fits(client, log, auditor, question, fits):
    from audit import search

    assert search.find(search.parse(question)).count() == fits
    assert search.parse(search.spell(search.parse(question))) == search.parse(question)


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("from:yesterday", "&#x27;yesterday&#x27; is not a day like 2026-09-01"),
        ('kind:"open', "a quotation mark is not closed"),
        ("x" * 501, "at most 500 characters"),
        ("actr:noor", "there is no qualifier actr:. Did you mean actor:?"),
        ("type:", "type: is followed by nothing"),
        ("index:9..x", "is not a number of an entry like 41, nor a range"),
        ("stream:9", "is not the id of a stream"),
    ],
)
def test_a_search_that_cannot_be_understood_says_why(client, read, log, question, words):
    page = read(f"/audit/?{urlencode({'q': question})}", status=422)
    assert "Nothing was searched: " in page
    assert words in page
    told = json.loads(read(f"/api/v1/audit/entries/?{urlencode({'q': question})}", status=422))
    assert told["code"] == "invalid"
    assert html.unescape(words) in told["detail"]


def test_an_apostrophe_is_a_letter(read, log):
    assert "No entry fits" in read("/audit/?q=o'neil")


def test_an_entry_says_in_words_that_it_is_proved(read, log):
    page = read(f"/audit/{newest()}/")
    assert f"Verified: entry {newest()} is in the log and unchanged" in page
    assert "The log has only grown since its first checkpoint" in page
    assert page.index("only grown") < page.index("Node 1")
    assert "Versions of this row" in read(
        f"/audit/{Leaf.objects.get(entry__kind='test.moved', entry__stream_version=2).index}/"
    )


def test_x18_what_a_name_or_a_comment_holds_is_shown_as_text(read, log):
    write(1, kind="test.happened", name="<script>alert(1)</script>")
    sequence()
    for page in (read("/audit/"), read(f"/audit/{newest()}/")):
        assert "<script>alert" not in page


def test_an_altered_entry_is_not_called_verified(read, log):
    entry = Leaf.objects.get(index=newest()).entry
    body = canonical({**parse(bytes(entry.body)), "data": {"forged": True}})
    as_insider("UPDATE audit_entry SET body = %s WHERE id = %s", body, entry.pk)
    page = read(f"/audit/{newest()}/")
    assert "Not verified" in page
    assert "Verified: entry" not in page


def test_an_entry_that_is_listed_under_another_name_is_not_called_verified(read, log):
    as_insider(
        "UPDATE audit_entry SET subject = 'CHG-9' WHERE id = %s", Leaf.objects.get(index=newest()).entry_id
    )
    assert "listed otherwise than its sealed bytes say" in read(f"/audit/{newest()}/").lower()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE audit_checkpoint SET note = replace(note, 'ledger', 'Ledger')",
        "UPDATE audit_tile SET data = reverse(data) WHERE level = 0 AND index = 0",
        "DELETE FROM audit_tile",
    ],
)
def test_a_damaged_log_is_announced_on_its_page(read, log, damage):
    as_insider(damage)
    page = read("/audit/")
    assert "The log does not verify" in page
    assert "Verified to entry" not in page


def test_an_entry_without_its_checkpoint_waits(read, log):
    from audit.ledger.sequencer import Sequencer

    write(1)
    Sequencer.start().integrate()
    assert "Not sealed yet" in read(f"/audit/{newest()}/")
    read(f"/audit/{newest()}/proof", status=404)


def test_an_empty_log_and_a_missing_entry_are_told(read):
    assert "Nothing is signed yet" in read("/audit/")
    read("/audit/99999999999999999999/", status=404)
    assert "Checkpoints" in read("/audit/checkpoints/")


def test_what_the_page_hands_out_is_verified_with_python_alone(client, read, log, tmp_path):
    index = newest()
    other = read(f"/audit/{index - 1}/entry.json")
    for name, path in (("entry", f"/audit/{index}/entry.json"), ("proof", f"/audit/{index}/proof")):
        (tmp_path / name).write_text(read(path))
    (tmp_path / "verify.py").write_text(read("/audit/verify.py"))
    client.logout()
    key = client.get("/audit/log/key").content.decode().strip()
    assert key in str(checkpoint.verifier())
    command = [sys.executable, "-I", "verify.py", "proof", "entry", "proof", "--key", key]
    assert subprocess.run(command, cwd=tmp_path, check=False, capture_output=True).returncode == 0
    (tmp_path / "entry").write_text(other)
    assert subprocess.run(command, cwd=tmp_path, check=False, capture_output=True).returncode == 1


# --- the export ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_an_export_proves_its_completeness_and_is_an_entry_itself(client, read, log, tmp_path, capsys, form):
    read("/audit/")
    response = client.post("/audit/export/", {"q": "kind:change.*", "format": form})
    data = b"".join(response.streaming_content)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    file = tmp_path / manifest["files"][0]["name"]
    text = file.read_bytes().decode()
    rows = csv.DictReader(io.StringIO(text)) if form == "csv" else iter(text.splitlines())
    assert manifest["rows"] == len(list(rows)) == manifest["totals"]["change.approved"] == 150
    assert (manifest["query"], manifest["made_by"]) == (
        "type:change.*",
        str(User.objects.get(username="ada").pk),
    )
    assert manifest["checkpoint"] == Checkpoint.objects.order_by("-size")[0].note
    said = parse(bytes(Entry.objects.get(kind="export.created").body))["data"]
    assert (said["rows"], said["manifest"]) == (150, manifest["digest"])
    assert said["digest"] == "sha256:" + hashlib.sha256(data).hexdigest()
    code, told = check(capsys, "population", tmp_path / "manifest.json")
    assert (code, "whether the server made this list" in told) == (0, True), told
    sequence()
    bundle = client.post("/audit/bundle/")
    (tmp_path / "log.zip").write_bytes(b"".join(bundle.streaming_content))
    call = [
        "population",
        tmp_path / "manifest.json",
        "--bundle",
        tmp_path / "log.zip",
        "--key",
        checkpoint.verifier(),
    ]
    code, told = check(capsys, *call)
    assert (code, "each of the 150 rows" in told, "whether the server made" in told) == (0, True, False), told


def test_a_search_that_is_not_understood_is_exported_neither_on_the_page_nor_by_a_machine(client, read, log):
    for typed in ({"q": "actr:noor", "format": "csv"}, {"q": "", "format": "doc"}):
        answer = client.post("/audit/export/", typed)
        assert (answer.status_code, "Audit log" in answer.content.decode()) == (422, True)
    door = "/api/v1/audit/export"
    for sent, where in (
        ({"q": "actr:noor"}, "/q"),
        ({"format": "doc"}, "/format"),
        ({"colour": 1}, "/colour"),
    ):
        answer = client.post(door, sent, content_type="application/json")
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, where)
    assert not Entry.objects.filter(kind="export.created").exists()
    answer = client.post(door, {"q": "kind:change.*", "format": "jsonl"}, content_type="application/json")
    assert zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content))).testzip() is None
    assert Entry.objects.filter(kind="export.created").count() == 1


def test_an_export_is_refused_to_others_and_by_get(client, read, log):
    read("/audit/export/", status=405)
    client.force_login(person("Mara"), backend="django.contrib.auth.backends.ModelBackend")
    assert client.post("/audit/export/", {"q": ""}).status_code == 403
    assert not Entry.objects.filter(kind="export.created").exists()


@pytest.mark.django_db(transaction=False)
@pytest.mark.parametrize("cell", ["=1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "\uff1d1", "\uff20x"])
def test_x17_no_cell_is_a_formula(cell):
    made = sheet.write(["a"], [[cell]], manifest={})
    rows = list(csv.reader(io.StringIO(b"".join(made.pieces()).decode(), newline="")))
    assert rows[1] == ["'" + cell]


@pytest.mark.django_db(transaction=False)
@pytest.mark.parametrize("cell", ['a","=1', "a,=1", 'a"\r\n=1', 'a"'])
def test_x17_no_cell_ends_early_and_lets_another_begin(cell):
    made = sheet.write(["a", "b"], [[cell, "x"]], manifest={})
    rows = list(csv.reader(io.StringIO(b"".join(made.pieces()).decode(), newline="")))
    assert rows[1] == [cell, "x"]


# --- the API -------------------------------------------------------------------------------------------------


def test_the_api_lists_by_cursor_and_takes_the_same_search(client, read, log):
    seen, path = [], "/api/v1/audit/entries/?q=kind:change.*&limit=70"
    while path:
        page = json.loads(read(path))
        seen += page["results"]
        path = page["next"]
    assert len({row["index"] for row in seen}) == len(seen) == 150
    assert [row["index"] for row in seen] == sorted((row["index"] for row in seen), reverse=True)
    assert json.loads(read("/api/v1/audit/entries/?kind=test.moved"))["results"][0]["actor"] == "system:test"


def test_the_api_gives_the_bytes_that_were_hashed(read, log):
    told = json.loads(read(f"/api/v1/audit/entries/{newest()}/"))
    body = base64.b64decode(told["body"])
    assert merkle.leaf_hash(body) == base64.b64decode(told["leaf_hash"])
    assert told["entry"] == parse(body)
    assert read(f"/api/v1/audit/entries/{newest()}/proof").startswith("c2sp.org/tlog-proof@v1\n")
    read("/api/v1/audit/entries/99999/", status=404)


def test_the_api_proves_that_the_log_only_grew(read, log):
    old, new = Checkpoint.objects.order_by("size")
    told = json.loads(read(f"/api/v1/audit/consistency?from={old.size}&to={new.size}"))
    path = [base64.b64decode(one) for one in told["hashes"]]
    assert merkle.consistent(old.size, bytes(old.root), new.size, bytes(new.root), path)
    assert (told["from"], told["old"], told["new"]) == (old.size, old.note, new.note)
    for wrong, status in (("from=0&to=1", 422), ("from=a&to=1", 422), (f"from={new.size}&to={old.size}", 422),
                          (f"from=1&to={new.size}", 404), ("", 422)):  # fmt: skip
        read(f"/api/v1/audit/consistency?{wrong}", status=status)


# --- what monitors read --------------------------------------------------------------------------------------


def test_a_stranger_rebuilds_the_root_from_the_public_tiles(client, log):
    note = client.get("/audit/log/checkpoint").content.decode()
    signed = checkpoint.read(note, checkpoint.keys())
    full, rest = divmod(signed.size, 256)
    grown = merkle.Range()
    for place in [f"{index:03d}" for index in range(full)] + [f"{full:03d}.p/{rest}"]:
        answer = client.get(f"/audit/log/tile/0/{place}")
        assert "immutable" in answer["Cache-Control"]
        grown.extend(answer.content[at : at + 32] for at in range(0, len(answer.content), 32))
    assert grown.root() == signed.root
    assert (
        client.get(f"/audit/log/tile/1/000.p/{full}").content
        == client.get("/audit/log/tile/1/000.p/1").content
    )


@pytest.mark.parametrize(
    "address",
    ["0/001", "0/000.p/0", "0/000.p/257", "0/000.p/256", "0/0", "0/x000/000", "0/999", "8/000", "0/../x", "0/000.p/1/",
     "0/\u0660\u0660\u0660", "0/" + "x001/" * 9 + "001", "entries/000"],
)  # fmt: skip
def test_there_is_no_other_tile(client, log, address):
    assert client.get(f"/audit/log/tile/{address}").status_code == 404
