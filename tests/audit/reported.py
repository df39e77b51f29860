"""A log with something to report: a change that ran, an execution that nobody agreed to, and an auditor."""

from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import User
from tests import kept
from tests.accounts.cast import person, team
from tests.audit.log import sequence, write
from tests.orchestration.bank import Bank

ROGUE = {
    "run": "RUN-666",
    "change": "CHG-666",
    "digest": "sha256:x",
    "permit": None,
    "environment": "production",
}
WORDS = "=1+1 <img src='x'/> \u65e5"  # in a cell a formula, in markup a picture, in a typeface nothing


class Reported:
    """Built once: tests put it back as rows."""

    def __init__(self):
        kept.begin(self, Reported, self._build)

    def _build(self):
        bank = Bank()
        change = bank.change()
        bank.say(change, "jonas", "Service owner")
        bank.say(change, "noor", "Security")
        bank.run()
        write(1, kind="run.running", **{**ROGUE, "environment": WORDS})
        petra = person("Petra", "audit")
        team("audit").group.permissions.add(Permission.objects.get(codename="view_entry"))
        sequence()
        self.change, self.auditor = change.key, petra.pk

    @property
    def petra(self):
        return User.objects.get(pk=self.auditor)

    def client(self, user=None):
        client = Client()
        client.force_login(user or self.petra, backend="django.contrib.auth.backends.ModelBackend")
        return client
