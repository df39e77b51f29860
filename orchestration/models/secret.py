"""Secrets: who may use which, and the sealed versions of those that we keep ourselves. No value is a column."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q, QuerySet

from accounts.models import Team, User
from audit.models import Coupled
from orchestration.models.catalogue import Environment, Service, Workflow

LATEST = "latest"  # what a definition says instead of being held to a version


class Secret(Coupled):
    """A name for a value that is kept somewhere, and where it may be used: what is not named, may not."""

    class Provider(models.TextChoices):
        STORE = "store", "sealed in the database"
        FILES = "files", "a file of the workers"
        VAULT = "vault", "a Vault"

    path = models.CharField(max_length=150, unique=True)
    provider = models.CharField(max_length=10, choices=Provider, default=Provider.STORE)
    source = models.CharField(max_length=300, blank=True, help_text="what the provider calls it")
    owner = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="secrets")
    environments = ArrayField(models.SlugField(), help_text="slugs; none of them is implied")
    services = ArrayField(models.SlugField(), default=list, help_text="slugs; none: those of the owner")
    workflows = ArrayField(models.SlugField(), default=list, help_text="slugs; none: those of the owner")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["path"]
        constraints = [
            models.CheckConstraint(
                condition=Q(provider="store", source="") | Q(provider__in=["files", "vault"], source__gt=""),
                name="secret_has_a_source_where_another_keeps_it",
            )
        ]

    def __str__(self) -> str:
        return self.path

    @property
    def standing(self) -> "QuerySet[SecretVersion]":
        """The versions that can still be opened, newest first."""
        return self.versions.filter(destroyed_at=None).order_by("-number")

    def is_for(self, workflow: Workflow, service: Service, environment: Environment) -> bool:
        """Whether this workflow may use it for this service in this environment. Deny by default."""
        return (
            environment.slug in self.environments
            and (service.slug in self.services if self.services else service.owner_id == self.owner_id)
            and (workflow.slug in self.workflows if self.workflows else workflow.owner_id == self.owner_id)
        )


class SecretVersion(Coupled):
    """One value, sealed for the workers. Never edited; destroyed, its bytes are gone and its row stays."""

    secret = models.ForeignKey(Secret, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    key_id = models.CharField(max_length=16)
    wrapped = models.BinaryField()
    nonce = models.BinaryField()
    ciphertext = models.BinaryField()
    author = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    destroyed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["secret", "number"], name="secret_version_number_once"),
            models.CheckConstraint(
                condition=Q(destroyed_at=None) | Q(wrapped=b"", nonce=b"", ciphertext=b""),
                name="secret_version_destroyed_is_empty",
            ),
        ]
