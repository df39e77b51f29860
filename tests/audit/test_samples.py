"""Samples: neither side can steer which items are drawn, and anybody draws the same ones again."""

import hashlib
from uuid import UUID

import pytest

from audit.canonical import parse
from audit.ledger.entry import Actor
from audit.models import Checkpoint, Entry, Leaf, Sample
from audit.refusals import Invalid, MoveNotAllowed, NotAllowed
from audit.reports import samples
from tests.accounts.cast import person, team
from tests.audit.log import sequence, write
from tests.audit.reported import ROGUE, Reported

NONCE = "four words of mine"
SHA = hashlib.sha256(NONCE.encode()).hexdigest()


@pytest.fixture
def world(settings, tmp_path, transactional_db):
    settings.KEY_DIR = tmp_path
    return Reported()


def by(user):
    return Actor(str(user.pk), "person", "session")


def asked(world, **form):
    return samples.ask("CT-01", {"size": "1", "nonce": NONCE, **form}, by=by(world.petra))


def data(kind):
    return parse(bytes(Entry.objects.get(kind=kind).body))["data"]


def test_the_root_is_of_the_first_checkpoint_behind_the_request(world):
    before = Checkpoint.objects.latest("size")
    one = asked(world)
    assert samples.sealed_by(one) is None
    with pytest.raises(MoveNotAllowed, match="no checkpoint covers the request yet"):
        samples.draw(one, NONCE, by=by(world.petra))
    write(2)
    sequence()
    first = Checkpoint.objects.latest("size")
    write(2)
    sequence()  # whoever waits for a later root draws with the first all the same
    drawn = samples.draw(one, NONCE, by=by(world.petra))
    assert drawn.checkpoint_size == first.size > before.size
    assert drawn.seed == hashlib.sha256(bytes(first.root) + b"CT-01" + NONCE.encode()).hexdigest()
    told = data("sample.drawn")
    assert (told["root"], told["nonce"], told["places"]) == (bytes(first.root).hex(), NONCE, drawn.places)
    assert told["indexes"] == [row["index"] for _, row in samples.rows(drawn)]
    assert data("sample.asked")["commitment"] == SHA
    assert NONCE not in str(data("sample.asked")), "the log does not know it before the root stands"


def test_the_draw_is_repeated_from_what_the_entries_say(world):
    for number in range(20):
        write(1, kind="run.running", **{**ROGUE, "run": f"RUN-{number}"})
    sequence()
    one = asked(world, size="5")
    sequence()
    drawn = samples.draw(one, "", by=by(world.petra))
    told = data("sample.drawn")
    seed = hashlib.sha256(
        bytes.fromhex(told["root"]) + told["control"].encode() + told["nonce"].encode()
    ).digest()
    ranks = {
        hashlib.sha256(seed + place.to_bytes(8, "big")).digest(): place for place in range(told["population"])
    }
    assert sorted(ranks[rank] for rank in sorted(ranks)[:5]) == drawn.places
    assert told["population"] == 22


def test_another_nonce_than_the_one_that_was_fixed_draws_nothing(world):
    one = asked(world, nonce="", commitment=SHA)
    sequence()
    with pytest.raises(Invalid, match="not the nonce that was fixed"):
        samples.draw(one, "other words of mine", by=by(world.petra))
    assert not Entry.objects.filter(kind="sample.drawn").exists()
    assert samples.draw(one, NONCE, by=by(world.petra)).drawn_at


def test_a_sample_is_drawn_once_by_whoever_asked(world):
    one = asked(world)
    sequence()
    with pytest.raises(NotAllowed):
        samples.draw(one, NONCE, by=by(person("Rita", "audit")))
    samples.draw(one, NONCE, by=by(world.petra))
    with pytest.raises(MoveNotAllowed, match="drawn already"):
        samples.draw(one, NONCE, by=by(world.petra))
    assert Entry.objects.filter(kind="sample.drawn").count() == 1


@pytest.mark.parametrize(
    ("form", "where"),
    [({"size": "0"}, "/size"), ({"size": "501"}, "/size"), ({"size": "x"}, "/size"), ({"nonce": "short"}, "/nonce"),
     ({"nonce": ""}, "/nonce"), ({"commitment": SHA}, "/nonce"), ({"nonce": "", "commitment": "xyz"}, "/nonce"),
     ({"from": "soon"}, "/from")],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_and_nothing_is_asked_for(db, form, where):
    auditor = Actor(str(UUID(int=1)), "person", "session")
    with pytest.raises(Invalid) as refused:
        samples.ask("CT-01", {"size": "1", "nonce": NONCE, **form}, by=auditor)
    assert refused.value.errors[0]["pointer"] == where
    assert not Sample.objects.exists()


def test_every_place_is_drawn_about_as_often_as_any_other():
    """Over 2,000 seeds: three of ten, so each place about 600 times; five standard deviations are 103."""
    counts = [0] * 10
    for number in range(2000):
        for place in samples.choose(hashlib.sha256(b"%d" % number).digest(), 10, 3):
            counts[place] += 1
    assert sum(counts) == 6000
    assert all(abs(one - 600) < 103 for one in counts), counts
    assert samples.choose(b"x", 2, 25) == [0, 1], "all where there are fewer"


def test_an_auditor_asks_draws_and_marks_in_the_browser(world):
    client, other = world.client(), world.client(person("Rita", "audit"))
    assert world.client(person("Hugo", "elsewhere")).get("/compliance/samples/").status_code == 403
    bad = client.post("/compliance/samples/", {"control": "CT-01", "size": "9999", "nonce": NONCE})
    assert bad.status_code == 422
    assert "The number of items is one from 1 to 500." in bad.content.decode()
    assert Entry.objects.filter(kind="attempt.refused", actor=str(world.petra.pk)).count() == 1
    sent = client.post("/compliance/samples/", {"control": "CT-01", "size": "2", "nonce": NONCE})
    url = sent.headers["Location"]
    assert "No checkpoint covers the request yet" in client.get(url).content.decode()
    sequence()
    assert "Draw 2 items" in client.get(url).content.decode()
    assert "Only whoever asked for it draws it." in other.get(url).content.decode()
    assert other.post(f"{url}draw/").status_code == 403
    assert client.post(f"{url}draw/").status_code == 302
    page = client.get(url).content.decode()
    place = Leaf.objects.get(entry__kind="run.running", entry__subject__startswith="T-").index
    assert f'href="/audit/{place}/entry.json"' in page
    assert "RUN-666" in page
    assert client.post(f"{url}mark/", {"place": "0", "mark": "agrees"}).status_code == 302
    assert client.post(f"{url}mark/", {"place": "7", "mark": "agrees"}).status_code == 422
    assert other.post(f"{url}mark/", {"place": "0", "mark": "differs"}).status_code == 403
    assert data("sample.marked") | {"place": 0, "mark": "agrees"} == data("sample.marked")
    assert "2 of 2 drawn, 1 looked at" in client.get(url).content.decode()
    assert ">Agrees</span>" in other.get(url).content.decode()
    team("audit").group.permissions.clear()
    assert client.get(url).status_code == 403
