"""The storage of logs, from the one line of the environment that names it."""

from typing import Any
from urllib.parse import urlsplit

CONNECT_SECONDS, READ_SECONDS, TRIES = 2, 10, 2


def log_storage(place: str) -> dict[str, Any]:
    """As Django's STORAGES wants it. Keys, region and endpoint of an object storage are those of its own library."""
    if not place.startswith("s3://"):
        return {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {
                "location": place,
                "allow_overwrite": True,
                "file_permissions_mode": 0o600,
                "directory_permissions_mode": 0o700,
            },
        }
    from botocore.config import Config  # only where it is used: it costs memory in every process

    parts = urlsplit(place)
    limits = Config(
        connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS, retries={"total_max_attempts": TRIES}
    )
    return {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": parts.netloc,
            "location": parts.path.strip("/"),
            "file_overwrite": True,
            "client_config": limits,
        },
    }
