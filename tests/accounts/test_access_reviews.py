"""Access reviews: others decide about everybody in a team, and whoever is not kept leaves at the end."""

from datetime import timedelta
from threading import Barrier, Thread

import pytest
from django.db import connection
from django.test import Client

from accounts import access_reviews as reviews
from accounts import teams
from accounts.acting import Acting
from accounts.bearer import SessionOnly
from accounts.models import AccessReview, Membership
from audit.canonical import parse
from audit.controls import evaluate
from audit.controls.evaluate import Scope
from audit.models import Entry
from audit.refusals import NotAllowed, Refusal
from tests.accounts.cast import TEST, bearer, issue, kinds, person, team
from tests.audit.log import newest, sequence

pytestmark = pytest.mark.django_db(transaction=True)
API = "/api/v1/access-reviews/"


@pytest.fixture
def cast():
    found = {name: person(name, "payments") for name in ("Mara", "Jonas")}
    lena = person("Lena")
    teams.join(team("payments"), lena, by=TEST, lead=True)
    return {**found, "Lena": lena, "Olga": person("Olga", superuser=True), "Eve": person("Eve", "cards")}


def by(user):
    return Acting(user, "session")


def members():
    return set(
        Membership.objects.open().filter(team__slug="payments").values_list("user__username", flat=True)
    )


def client(user):
    made = Client()
    made.force_login(user)
    return made


def told(kind):
    return parse(bytes(Entry.objects.filter(kind=kind).latest("id").body))["data"]


def test_whoever_is_removed_leaves_with_the_end_of_the_review_and_not_before(cast):
    review = reviews.begin(team("payments"), by=by(cast["Lena"]))
    reviews.decide(review, "mara", "keep", by=by(cast["Lena"]))
    reviews.decide(review, "jonas", "keep", by=by(cast["Lena"]))
    reviews.decide(review, "jonas", "remove", by=by(cast["Olga"]))
    reviews.decide(review, "lena", "keep", by=by(cast["Olga"]))
    assert members() == {"mara", "jonas", "lena"}
    reviews.complete(review, by=by(cast["Lena"]))
    assert members() == {"mara", "lena"}
    assert kinds()[-2:] == ["membership.ended", "access_review.completed"]
    assert told("access_review.completed")["removed"] == [str(cast["Jonas"].pk)]
    assert told("access_review.decided") == {
        "review": str(review.pk), "account": str(cast["Lena"].pk), "decision": "keep",
        "person": str(cast["Olga"].person_id),
    }  # fmt: skip


def test_what_the_product_wrote_is_what_the_control_test_asks_for(cast, settings, tmp_path):
    settings.KEY_DIR = tmp_path
    review = reviews.begin(team("payments"), by=by(cast["Olga"]))
    for name, decision in (("mara", "keep"), ("jonas", "remove"), ("lena", "keep")):
        reviews.decide(review, name, decision, by=by(cast["Olga"]))
    reviews.complete(review, by=by(cast["Olga"]))
    teams.deactivate(cast["Mara"], by=TEST)
    sequence()
    report = evaluate.evaluate(newest(), Scope())
    assert {row["item"]: row["reason"] for row in report.of("CT-15").rows} == {
        "payments": "access_reviewed", "cards": "review_not_due",
    }  # fmt: skip
    assert [row["reason"] for row in report.of("CT-16").rows] == ["rights_ended"]


@pytest.mark.parametrize("who", ["Mara", "Eve"])
def test_only_an_admin_or_whoever_leads_the_team_reviews_it(cast, who):
    with pytest.raises(NotAllowed, match="by an admin or by whoever leads it"):
        reviews.begin(team("payments"), by=by(cast[who]))
    review = reviews.begin(team("payments"), by=by(cast["Olga"]))
    with pytest.raises(NotAllowed):
        reviews.decide(review, "jonas", "remove", by=by(cast[who]))
    with pytest.raises(NotAllowed):
        reviews.complete(review, by=by(cast[who]))
    assert members() == {"mara", "jonas", "lena"}


def test_nobody_decides_about_themselves_from_whichever_account(cast):
    second = teams.create_service_account(username="bot", name="Bot", person=cast["Lena"].person, by=TEST)
    teams.join(team("payments"), second, by=TEST)
    review = reviews.begin(team("payments"), by=by(cast["Lena"]))
    for name in ("lena", "bot"):
        with pytest.raises(reviews.OwnAccess):
            reviews.decide(review, name, "keep", by=by(cast["Lena"]))


def test_a_token_decides_nothing(cast):
    token = Acting(cast["Olga"], "token")
    with pytest.raises(SessionOnly):
        reviews.begin(team("payments"), by=token)


def test_it_does_not_end_while_somebody_in_the_team_was_not_looked_at(cast):
    review = reviews.begin(team("payments"), by=by(cast["Olga"]))
    for name in ("mara", "jonas", "lena"):
        reviews.decide(review, name, "keep", by=by(cast["Olga"]))
    teams.join(team("payments"), cast["Eve"], by=TEST)
    with pytest.raises(reviews.NotReviewed, match="Eve"):
        reviews.complete(review, by=by(cast["Olga"]))
    teams.leave(team("payments"), cast["Eve"], by=TEST)
    reviews.complete(review, by=by(cast["Olga"]))
    with pytest.raises(reviews.ReviewCompleted):
        reviews.decide(review, "mara", "remove", by=by(cast["Olga"]))
    with pytest.raises(reviews.ReviewCompleted):
        reviews.complete(review, by=by(cast["Olga"]))


@pytest.mark.parametrize(("name", "decision"), [("eve", "keep"), ("nobody", "keep"), ("mara", "perhaps")])
def test_a_decision_is_about_a_member_and_is_one_of_two(cast, name, decision):
    review = reviews.begin(team("payments"), by=by(cast["Olga"]))
    with pytest.raises(Refusal):
        reviews.decide(review, name, decision, by=by(cast["Olga"]))
    assert not review.decisions.exists()


def test_two_who_end_it_at_once_end_it_once(cast):
    review = reviews.begin(team("payments"), by=by(cast["Olga"]))
    for name in ("mara", "jonas", "lena"):
        reviews.decide(review, name, "remove", by=by(cast["Olga"]))
    together, refused = Barrier(2), []

    def end():
        try:
            together.wait()
            reviews.complete(AccessReview.objects.get(pk=review.pk), by=by(cast["Olga"]))
        except reviews.ReviewCompleted as error:
            refused.append(error)
        finally:
            connection.close()

    threads = [Thread(target=end) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert (len(refused), kinds().count("access_review.completed"), members()) == (1, 1, set())


def test_a_team_has_one_review_that_is_open(cast):
    reviews.begin(team("payments"), by=by(cast["Olga"]))
    with pytest.raises(reviews.ReviewOpen):
        reviews.begin(team("payments"), by=by(cast["Lena"]))


def test_a_review_is_due_ninety_days_after_the_last_or_after_the_first_joined(cast):
    [one] = reviews.due(reviews.visible(cast["Lena"]))
    first = Membership.objects.filter(team__slug="payments").earliest("since").since
    assert (one.team.slug, one.last, one.due) == ("payments", None, first + timedelta(days=90))


def test_the_pages_lead_through_a_review(cast):
    lena, olga = client(cast["Lena"]), client(cast["Olga"])
    page = lena.get("/people/reviews/").content.decode()
    assert "Payments" in page
    assert "Cards" not in page, "Lena leads another team"
    assert "Cards" in olga.get("/people/reviews/").content.decode()
    where = lena.post("/people/reviews/of/payments/").headers["Location"]
    page = lena.get(where).content.decode()
    assert page.count("nobody has decided") == 3
    assert "Somebody else decides about you." in page
    for name, decision in (("mara", "keep"), ("jonas", "remove")):
        assert lena.post(f"{where}decide/", {"account": name, "decision": decision}).status_code == 302
    own = lena.post(f"{where}decide/", {"account": "lena", "decision": "keep"})
    assert (own.status_code, "Somebody else decides whether you stay" in own.content.decode()) == (403, True)
    early = lena.post(f"{where}decide/")
    assert (early.status_code, "nobody has decided about Lena" in early.content.decode()) == (409, True)
    assert kinds()[-1] == "attempt.refused"
    olga.post(f"{where}decide/", {"account": "lena", "decision": "keep"})
    assert "takes 1 out of the team" in lena.get(where).content.decode()
    lena.post(f"{where}decide/")
    page = lena.get(where).content.decode()
    assert "Completed" in page
    assert "Complete the review" not in page
    assert members() == {"mara", "lena"}


def test_whoever_may_not_see_a_teams_reviews_is_told_nothing_of_them(cast):
    review = reviews.begin(team("payments"), by=by(cast["Lena"]))
    for who in ("Mara", "Eve"):
        seen = client(cast[who])
        assert "Payments" not in seen.get("/people/reviews/").content.decode().partition("<main")[2]
        assert seen.get(f"/people/reviews/{review.pk}/").status_code == 404
        assert seen.post(f"/people/reviews/{review.pk}/decide/").status_code == 404
        assert seen.post("/people/reviews/of/payments/").status_code == 404
        assert seen.get(API).json()["results"] == []
        assert seen.post(f"{API}{review.pk}/complete/").status_code == 404
    assert Client().get("/people/reviews/").status_code == 302


def send(client, path, body, key="k"):
    return client.post(path, body, content_type="application/json", headers={"Idempotency-Key": key})


def test_the_api_does_the_same_and_a_token_only_reads(cast):
    lena = client(cast["Lena"])
    made = send(lena, API, {"team": "payments"})
    assert (made.status_code, made.json()["team"]) == (201, "payments")
    path = f"{API}{made.json()['id']}/"
    assert send(lena, f"{path}decisions/", {"account": "jonas", "decision": "remove"}).json()["by"] == "lena"
    assert send(lena, f"{path}decisions/", {"account": "jonas", "decision": "drop"}).status_code == 422
    assert send(lena, f"{path}complete/", {}).json()["code"] == "access_not_reviewed"
    header = bearer(issue(cast["Olga"], "reports:read"))
    [row] = Client().get(API, **header).json()["results"]
    assert row["decisions"] == [{"account": "jonas", "decision": "remove", "by": "lena"}]
    denied = Client().post(f"{path}complete/", {}, content_type="application/json", **header)
    assert denied.status_code == 403
