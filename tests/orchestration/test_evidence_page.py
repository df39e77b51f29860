"""Evidence on the page of a change: what is needed and missing, files and addresses, and who may remove what."""

import hashlib
from urllib.parse import quote

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts import teams
from audit.canonical import parse
from audit.models import Entry
from orchestration import asking, changes, evidence
from orchestration.models import EvidenceFile
from tests import factories
from tests.accounts.cast import TEST
from tests.browser import sign_in

pytestmark = pytest.mark.django_db(transaction=True)
REPORT = b"all 412 tests passed\n"
SHA = hashlib.sha256(REPORT).hexdigest()
LIES = {"kind": "impact", "digest": f"sha256:{'e' * 64}", "address": "https://ci.example/1/impact"}


@pytest.fixture
def bank():
    return factories.Bank()


@pytest.fixture
def change(bank):
    return bank.change()


def browser(bank, who):
    return sign_in(Client(), bank.user(who))


def attach(client, change, **posted):
    return client.post(f"/changes/{change.key}/evidence/", posted)


def give(client, change, data=REPORT, name="report.txt", kind="test_result"):
    return attach(client, change, kind=kind, file=SimpleUploadedFile(name, data))


def page(client, change):
    return client.get(f"/changes/{change.key}/").content.decode()


def told(kind="evidence.attached"):
    return [parse(bytes(one.body))["data"] for one in Entry.objects.filter(kind=kind).order_by("id")]


def test_what_is_needed_and_missing_is_named_before_anybody_approves(bank, change):
    noor = browser(bank, "noor")
    shown = page(noor, change)
    assert "0 of 4 attached" in shown
    assert "missing: impact assessment, test result, security check, rollback plan" in shown
    assert "Approving without it fails control test CT-10" in shown
    for kind in ("impact", "security_check", "rollback_plan"):
        assert attach(browser(bank, "mara"), change, **{**LIES, "kind": kind}).status_code == 302
    give(noor, change)
    shown = page(noor, change)
    assert "4 of 4 attached" in shown
    assert "CT-10" not in shown
    live = noor.get(f"/changes/{change.key}/live/evidence/", headers={"X-Fragment": "1"}).content.decode()
    assert SHA[:8] in live
    assert "ci.example/1/impact" in live


def test_the_form_of_a_request_says_what_evidence_its_environment_needs(bank):
    asked = {
        "service": "web-bank",
        "environment": "production",
        "inputs.version": "42",
        "reason": "New page.",
    }
    mara = browser(bank, "mara")
    shown = mara.post("/workflows/deploy/preview/", asked).content.decode()
    assert "Impact assessment, test result, security check, rollback plan" in shown
    shown = mara.post("/workflows/deploy/preview/", {**asked, "environment": "staging"}).content.decode()
    assert "Test result: attach it" in shown


def test_a_file_is_kept_under_its_digest_and_handed_out_as_it_was(bank, change):
    assert give(browser(bank, "mara"), change, name='../"a"\nb.html').status_code == 302
    [one] = told()
    assert (one["evidence_digest"], one["digest"]) == (f"sha256:{SHA}", change.revision.digest)
    assert one["address"] == f"/changes/{change.key}/evidence/{SHA}/"
    got = browser(bank, "noor").get(one["address"])
    assert (got.content, got.headers["X-Content-Type-Options"]) == (REPORT, "nosniff")
    assert got.headers["Content-Type"] == "application/octet-stream"
    assert got.headers["Content-Disposition"].startswith("attachment")
    assert "\n" not in got.headers["Content-Disposition"]
    give(browser(bank, "noor"), change)
    assert EvidenceFile.objects.count() == 1, "the same bytes once"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"kind": "poem"}, "Choose what it is"),
        ({"digest": "sha256:1"}, "The digest is sha256:"),
        ({"address": "javascript:alert(1)"}, "The address is a URL"),
        ({"address": "https://x.example/" + "a" * 500}, "at most 500 characters"),
    ],
)
def test_what_cannot_be_found_again_is_refused_in_place_and_recorded(bank, change, wrong, says):
    sent = attach(browser(bank, "mara"), change, **{**LIES, **wrong})
    assert sent.status_code == 422
    assert says in sent.content.decode()
    assert told() == []
    assert told("attempt.refused")[-1]["attempted"] == "evidence.attach"


@pytest.mark.parametrize("data", [b"", b"x" * (evidence.MAX_BYTES + 1)], ids=["empty", "too large"])
def test_a_file_has_a_size(bank, change, data):
    sent = give(browser(bank, "mara"), change, data=data)
    assert sent.status_code == 422
    assert "Nothing was attached" in sent.content.decode()
    assert not EvidenceFile.objects.exists()


def test_whoever_gave_a_file_or_an_admin_removes_it_and_the_log_keeps_that_it_was(bank, change):
    give(browser(bank, "mara"), change)
    address = f"/changes/{change.key}/evidence/{SHA}/"
    assert browser(bank, "noor").post(f"{address}remove/").status_code == 403
    assert EvidenceFile.objects.exists()
    mara = browser(bank, "mara")
    assert mara.post(f"{address}remove/").status_code == 302
    assert mara.get(address).status_code == 404
    assert "removed again" in page(mara, change)
    assert told("evidence.removed") == [{"change": change.key, "evidence_digest": f"sha256:{SHA}"}]
    assert mara.post(f"{address}remove/").status_code == 404


def test_whoever_does_not_see_a_change_attaches_reads_and_removes_nothing(bank, change):
    give(browser(bank, "mara"), change)
    eve = sign_in(Client(), teams.create_person(username="eve", name="Eve", by=TEST))
    address = f"/changes/{change.key}/evidence/{SHA}/"
    assert eve.get(address).status_code == 404
    assert attach(eve, change, **LIES).status_code == 404
    assert eve.post(f"{address}remove/").status_code == 404
    assert eve.get(f"/changes/{change.key}/live/evidence/").status_code == 404
    assert len(told()) == 1


def test_a_file_belongs_to_one_change_alone(bank, change):
    give(browser(bank, "mara"), change)
    other = bank.change()
    assert browser(bank, "mara").get(f"/changes/{other.key}/evidence/{SHA}/").status_code == 404


def test_evidence_of_other_content_counts_no_more(bank, change):
    mara = browser(bank, "mara")
    attach(mara, change, **LIES)
    assert "1 of 4 attached" in page(mara, change)
    again = asking.ask_again(change, inputs={"version": "43"}, reason="Another.", by=bank.people["mara"])
    changes.revise(change, again)
    shown = page(mara, change)
    assert "0 of 4 attached" in shown
    assert "Of other content" in shown


def test_an_address_is_shown_as_text_and_never_runs(bank, change):
    attach(browser(bank, "mara"), change, **{**LIES, "address": "https://ci.example/?q=" + quote("<script>")})
    assert "<script>alert" not in page(browser(bank, "noor"), change)
    assert 'rel="noopener noreferrer nofollow"' in page(browser(bank, "noor"), change)
