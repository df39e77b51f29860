"""Acts without pause in a running stack, in a process of its own; prints the id of each entry once it is committed.

What this process has printed has happened: whatever is killed, the log must hold it, once.
"""

import time

import django


def main() -> None:
    django.setup()
    from django.db import InterfaceError, OperationalError, connection, transaction

    from audit.ledger.entry import system
    from audit.ledger.record import record

    actor = system("system:test")
    while True:
        try:
            with transaction.atomic():
                made = [record("test.happened", of=None, subject="T-1", actor=actor).pk for _ in range(5)]
        except (OperationalError, InterfaceError):  # the database was killed: nobody was promised anything
            connection.close()
            time.sleep(0.1)
            continue
        for entry_id in made:
            print(entry_id, flush=True)
        time.sleep(0.01)


if __name__ == "__main__":
    main()
