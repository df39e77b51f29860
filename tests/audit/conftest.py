"""What tests of the log share: a key of its own for the log of a test, and somebody who may read it."""

import pytest
from django.contrib.auth.models import Permission

from tests.accounts.cast import person, team


@pytest.fixture
def own_key(settings, tmp_path):
    """The log of this test has been signed by nobody before: `usefixtures` where a module wants it throughout."""
    settings.KEY_DIR = tmp_path


@pytest.fixture
def auditor():
    """Ada, in a team that may read the log."""
    reader = person("Ada", "auditors")
    team("auditors").group.permissions.add(Permission.objects.get(codename="view_entry"))
    return reader
