#!/usr/bin/env python3
"""One phase of a reconciliation; `compare` finds a difference every night."""

import sys
import time

phase = sys.argv[1]
for number in range(1, 6):
    print(f"{phase}: batch {number} of 5", flush=True)
    time.sleep(0.2)
if phase == "compare":
    print("\x1b[31mbatch 4: 1 042.10 here, 1 024.10 there\x1b[0m", file=sys.stderr, flush=True)
    sys.exit("compare: one batch differs; nothing was published")
