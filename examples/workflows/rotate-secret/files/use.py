#!/usr/bin/env python3
"""Looks whether the newest value differs from the one before, and whether nobody else can read it."""

import os
import pathlib
import sys

environment, service = sys.argv[1:]
place = pathlib.Path(os.environ["DEMO_ROOT"]) / "vault" / environment / service
files = sorted(place.iterdir(), key=lambda one: int(one.name))
if files[-1].stat().st_mode & 0o077:
    sys.exit("others can read the newest value")
if len(files) > 1 and files[-1].read_text() == files[-2].read_text():
    sys.exit("the newest value is the old one")
print(f"{environment}/{service}: version {files[-1].name} is new and private")
