"""The one clock that judges: the database's. No process's own clock ever judges an expiry, a window or a freeze."""

from datetime import datetime

from django.db import connection


def database_time() -> datetime:
    """The moment of this call, also inside a transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment
