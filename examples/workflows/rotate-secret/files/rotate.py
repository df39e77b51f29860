#!/usr/bin/env python3
"""Signs in to the demo's vault and puts a new random value in place, which is never shown."""

import hashlib
import json
import os
import pathlib
import secrets
import sys

environment, service = sys.argv[1:]
password = (pathlib.Path(os.environ["STEP_SECRETS"]) / "VAULT_PASSWORD").read_text()
vault = pathlib.Path(os.environ["DEMO_ROOT"]) / "vault"
vault.mkdir(mode=0o700, exist_ok=True)
lock, proof = vault / "lock", hashlib.scrypt(password.encode(), salt=b"demo", n=2**12, r=8, p=1).hex()
if not lock.exists():
    lock.write_text(proof)  # the first who comes closes it
print(f"signing in to the vault with {password}")  # as a careless script does
if lock.read_text() != proof:
    sys.exit("the vault does not take this password")
place = vault / environment / service
place.mkdir(parents=True, exist_ok=True)
number = 1 + max((int(one.name) for one in place.iterdir()), default=0)
with open(place / str(number), "x", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
    file.write(secrets.token_urlsafe(32))
print(f"{environment}/{service}: version {number} is in place")
pathlib.Path(os.environ["STEP_OUTPUTS"]).write_text(json.dumps({"version": number}))
