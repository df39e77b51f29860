#!/usr/bin/env python3
"""Builds the page of a service: one HTML file, and its digest beside it."""

import hashlib
import html
import os
import pathlib
import sys

service, version, motto = sys.argv[1:]
place = pathlib.Path(os.environ["DEMO_ROOT"]) / "artifacts" / service / version
place.mkdir(parents=True, exist_ok=True)
page = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{html.escape(service)} {html.escape(version)}</title>
<h1>{html.escape(service)}</h1>
<p>Version <b>{html.escape(version)}</b></p>
<p>{html.escape(motto)}</p>
</html>
"""
(place / "index.html").write_text(page)
digest = hashlib.sha256(page.encode()).hexdigest()
(place / "index.html.sha256").write_text(digest)
print(f"built {service} {version}: {len(page)} bytes, sha256:{digest}")
