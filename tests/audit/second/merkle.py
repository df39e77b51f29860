"""Sigstore's own inclusion check and pymerkle's own tree, as a process: one JSON request in, one answer out.

`python merkle.py DIRECTORY` takes both from the directory beside the environment. Knows nothing of the product.
"""

import base64
import json
import sys
from types import SimpleNamespace

sys.path.append(sys.argv[1])

from pymerkle import InmemoryTree
from sigstore._internal.merkle import verify_merkle_inclusion
from sigstore.errors import VerificationError


def plain(text):
    return base64.b64decode(text)


def included(one):
    """The fields that the check reads of an entry, in its names."""
    proof = SimpleNamespace(
        log_index=one["index"], tree_size=one["size"], root_hash=plain(one["root"]),
        hashes=list(map(plain, one["path"])),
    )  # fmt: skip
    inner = SimpleNamespace(inclusion_proof=proof, canonicalized_body=plain(one["body"]))
    try:
        verify_merkle_inclusion(SimpleNamespace(_inner=inner))
    except VerificationError:
        return False
    return True


def root(entries):
    tree = InmemoryTree(algorithm="sha256")
    for one in entries:
        tree.append_entry(plain(one))
    return base64.b64encode(tree.get_state()).decode()


asked = json.load(sys.stdin)
print(
    json.dumps({"records": list(map(included, asked["records"])), "trees": list(map(root, asked["trees"]))})
)
