#!/usr/bin/env python3
"""Compares the artifact with the digest that was written when it was built."""

import hashlib
import os
import pathlib
import sys

service, version = sys.argv[1:]
place = pathlib.Path(os.environ["DEMO_ROOT"]) / "artifacts" / service / version
found = hashlib.sha256((place / "index.html").read_bytes()).hexdigest()
wanted = (place / "index.html.sha256").read_text()
if found != wanted:
    sys.exit(f"the artifact is sha256:{found}, but sha256:{wanted} was built")
print(f"\x1b[32mverified\x1b[0m sha256:{found}")
