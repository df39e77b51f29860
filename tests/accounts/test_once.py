"""Idempotency keys: however often and however close together it is asked, it is done once."""

import threading
from datetime import timedelta

import pytest
from django.db import connection

from accounts import once, teams
from accounts.models import IdempotencyKey, Team, User
from audit.refusals import Refusal
from tests.accounts.cast import NOW, TEST, person

pytestmark = pytest.mark.django_db(transaction=True)


def ask(user: User, key: str = "k1", body: str = "a", route: str = "POST /x") -> once.Ask:
    return once.Ask(user=user, route=route, key=key, request_hash=body)


def make(slug: str = "payments"):
    def work(_: None) -> tuple[int, dict[str, str]]:
        made = teams.create_team(slug=slug, name=slug, by=TEST)
        return 201, {"id": str(made.pk), "secret": "s"}

    return work


def answered(of: once.Ask, slug: str = "payments", at=NOW, **more) -> once.Answer:
    return once.answer(of, make(slug), prepare=lambda: None, at=at, **more)


def test_a_repeat_gets_the_first_answer_and_does_nothing():
    mara = person("Mara")
    first, second = answered(ask(mara)), answered(ask(mara), slug="other")
    assert (second.status, second.body, second.replayed) == (first.status, first.body, True)
    assert Team.objects.count() == 1


def test_another_body_under_the_same_key_is_refused():
    mara = person("Mara")
    answered(ask(mara))
    with pytest.raises(once.KeyReused):
        answered(ask(mara, body="b"))


def test_a_key_belongs_to_one_account_and_one_route():
    mara, noor = person("Mara"), person("Noor")
    answered(ask(mara))
    assert not answered(ask(noor), slug="b").replayed
    assert not answered(ask(mara, route="POST /y"), slug="c").replayed


def test_a_refused_request_leaves_no_key():
    mara = person("Mara")
    teams.create_team(slug="payments", name="Payments", by=TEST)
    with pytest.raises(Refusal):
        answered(ask(mara))
    assert not IdempotencyKey.objects.exists()
    assert answered(ask(mara), slug="other").status == 201


def test_after_a_day_a_key_is_new_again():
    mara = person("Mara")
    answered(ask(mara))
    assert not answered(ask(mara, body="b"), slug="later", at=NOW + timedelta(hours=24)).replayed
    assert once.forget(at=NOW + timedelta(hours=49)) == 1


def test_a_secret_is_answered_once_and_never_kept():
    mara = person("Mara")
    assert answered(ask(mara), secret=("secret",)).body["secret"] == "s"
    assert answered(ask(mara), secret=("secret",)).body["secret"] is None
    assert IdempotencyKey.objects.values_list("response__secret", flat=True).get() is None


@pytest.mark.races
def test_ten_at_a_barrier_do_it_once():
    mara = person("Mara")
    for n in range(10):
        barrier = threading.Barrier(10)
        answers: list[once.Answer] = []

        def run(key=f"race-{n}", slug=f"team-{n}", barrier=barrier, answers=answers) -> None:
            try:
                barrier.wait(timeout=10)
                answers.append(answered(ask(mara, key=key), slug=slug))
            finally:
                connection.close()

        threads = [threading.Thread(target=run) for _ in range(10)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert len({one.body["id"] for one in answers}) == 1
        assert sorted(one.replayed for one in answers) == [False] + [True] * 9
    assert Team.objects.count() == 10
