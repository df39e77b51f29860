"""What was seen of policy in Git: each commit once, and whether the repository answers. None of it judges."""

from django.db import models

from audit.canonical import uuid7
from audit.models import Coupled


class PolicyCommit(Coupled):
    """A commit of the policy repository, as it was when it was first seen; the row never changes.

    With faults it can never judge; without, it may be asked for. Which one judges is said by the bundles alone.
    """

    source = models.CharField(max_length=500, help_text="address or path, without a password")
    branch = models.CharField(max_length=200)
    folder = models.CharField(max_length=200, blank=True)
    commit = models.CharField(max_length=64)
    summary = models.CharField(max_length=200, blank=True, help_text="the first line of its message")
    digest = models.CharField(max_length=71, db_index=True, help_text="of the bundle that its files are")
    sources = models.JSONField(help_text="path -> text, tests included")
    faults = models.JSONField(help_text="file, line, message of each; none, or it can never judge")
    warnings = models.JSONField(help_text="place and message of each")
    rules = models.JSONField(help_text="as in a bundle")
    tests = models.JSONField(help_text="name, file, line, passed, message of each")
    authors = models.JSONField(
        help_text="name, e-mail and account, if one has it, of whoever wrote since the commit that judged then"
    )
    seen_at = models.DateTimeField(auto_now_add=True)
    unsealed = ("authors", "summary")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["source", "branch", "folder", "commit"], name="commit_seen_once")
        ]


class PolicySource(models.Model):
    """When a repository last answered, and what it said when it did not: a note, without authority."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    source = models.CharField(max_length=500)
    branch = models.CharField(max_length=200)
    folder = models.CharField(max_length=200, blank=True)
    head = models.CharField(
        max_length=64, blank=True, help_text="the commit that stands there, when last seen"
    )
    asked_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True)
    problem = models.TextField(
        blank=True, help_text="why it could not be read the last time; empty when it could"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "branch", "folder"], name="policy_source_once")
        ]
