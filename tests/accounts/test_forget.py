"""What has no meaning any more is thrown away; what has stays."""

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from accounts import once, rates, sessions, tasks
from accounts.models import IdempotencyKey, Rate, UserSession
from tests.accounts.cast import NOW, person

pytestmark = pytest.mark.django_db(transaction=True)


def test_only_what_is_over_is_forgotten():
    mara = person("Mara")
    Client().force_login(mara)
    IdempotencyKey.objects.create(user=mara, route="r", key="k", request_hash="h")
    rates.spend("k", rates.Limit(1, seconds=600), at=NOW)
    tasks.forget()
    assert [one.objects.count() for one in (IdempotencyKey, Rate, UserSession)] == [1, 1, 1]
    later = NOW + timedelta(days=2)
    assert [room.forget(at=later) for room in (once, rates, sessions)] == [1, 1, 1]


def test_no_session_lies_in_a_table_that_knows_no_account():
    Client().force_login(person("Mara"))
    assert not Session.objects.exists()
