"""The places that keep secrets, behind one question each side may ask: which version is newest, and what does a
step's opener need to open one.

It must never hold a value: what is handed on is sealed, or says where the opener finds it.
"""

import re
from typing import Any, NamedTuple, Protocol

from django.conf import settings

from orchestration.models import Secret, SecretVersion
from orchestration.secrets import envelope, files, vault
from orchestration.secrets.envelope import Sealed
from orchestration.secrets.provider import Gone, Unreachable


class Version(NamedTuple):
    """One version of a secret; the digest names its sealed bytes, where we keep them."""

    name: str
    digest: str = ""


class Provider(Protocol):
    """What each place knows."""

    source: re.Pattern[str]  # how it calls a secret

    def current(self, secret: Secret) -> Version:
        """The newest; Unreachable or Gone."""

    def given(self, secret: Secret, version: Version) -> dict[str, Any]:
        """What the opener needs for exactly this version; Gone when it is known to be gone already."""


class Store:
    """Sealed in our own database."""

    source = re.compile("")

    def current(self, secret: Secret) -> Version:
        newest = secret.standing.first()
        if newest is None:
            raise Gone(f"it has no value yet; {secret.owner.name} can write one")
        return Version(str(newest.number), sealed_of(newest).digest)

    def given(self, secret: Secret, version: Version) -> dict[str, Any]:
        found = secret.standing.filter(number=int(version.name)).first()
        if found is None:
            raise Gone(f"version {version.name} is no longer there")
        sealed = sealed_of(found)
        if sealed.digest != version.digest:
            raise Gone(f"version {version.name} is not what was signed off")
        return envelope.carried(sealed, folder=settings.KEY_DIR, bound_to=bound_to(found))


class Files:
    """Files of the workers' machine."""

    source = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")

    def current(self, secret: Secret) -> Version:
        try:
            return Version(files.current(str(settings.SECRETS_FOLDER), secret.source))
        except OSError:
            raise Unreachable("the folder of secrets cannot be looked into") from None

    def given(self, secret: Secret, version: Version) -> dict[str, Any]:
        return {"folder": str(settings.SECRETS_FOLDER), "source": secret.source, "version": version.name}


class Vault:
    """HashiCorp Vault or OpenBao."""

    source = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*(#[A-Za-z0-9._-]+)?")

    def current(self, secret: Secret) -> Version:
        token = settings.VAULT_METADATA_TOKEN_PATH or settings.VAULT_TOKEN_PATH
        return Version(vault.current(self._place(secret, token)))

    def given(self, secret: Secret, version: Version) -> dict[str, Any]:
        return {**self._place(secret, settings.VAULT_TOKEN_PATH), "version": version.name}

    def _place(self, secret: Secret, token_file: Any) -> dict[str, Any]:
        if not settings.VAULT_ADDRESS:
            raise Unreachable("no Vault is configured")
        return {
            "address": settings.VAULT_ADDRESS,
            "mount": settings.VAULT_MOUNT,
            "source": secret.source,
            "token_file": str(token_file or ""),
            "ca_file": str(settings.VAULT_CA_PATH or ""),
        }


PROVIDERS: dict[str, Provider] = {"store": Store(), "files": Files(), "vault": Vault()}


def of(secret: Secret) -> Provider:
    return PROVIDERS[secret.provider]


def sealed_of(version: SecretVersion) -> Sealed:
    return Sealed(
        version.key_id, *(bytes(one) for one in (version.wrapped, version.nonce, version.ciphertext))
    )


def bound_to(version: SecretVersion) -> str:
    """What a value is sealed for: in another row it cannot be opened."""
    return f"{version.secret_id}:{version.number}"
