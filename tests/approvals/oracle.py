"""Real OPA as a process of its own: one JSON request a line, one answer a line. Knows nothing of the product.

`python oracle.py LIBRARY` loads the Open Policy Agent as a C library; a Go runtime has no place in a test process
that forks. Request: {"sources": {path: text}, "input": ..., "query": "countersign.change"}; answer: {"value": ...} or
{"error": "..."}.
"""

import ctypes
import json
import sys

library = ctypes.CDLL(sys.argv[1])
library.OpaNew.restype = ctypes.c_uint64
library.OpaDestroy.argtypes = [ctypes.c_uint64]
library.OpaFreeString.argtypes = [ctypes.c_void_p]
for name, count in (("OpaAddPolicy", 0), ("OpaEvalDocument", 2)):
    call = getattr(library, name)
    call.restype = ctypes.c_void_p
    call.argtypes = [ctypes.c_uint64, ctypes.c_char_p, ctypes.c_char_p, *[ctypes.c_int] * count]


def told(pointer):
    said = json.loads(ctypes.string_at(pointer))
    library.OpaFreeString(pointer)
    if said.get("error"):
        raise ValueError(said["error"]["message"])
    return said.get("result")


def answer(sources, given, query):
    engine = library.OpaNew()
    try:
        for path, text in sorted(sources.items()):
            told(library.OpaAddPolicy(engine, path.encode(), text.encode()))
        found = told(library.OpaEvalDocument(engine, query.encode(), json.dumps(given).encode(), 0, 0))
        return {"value": found[0]["expressions"][0]["value"]} if found else {"error": "undefined"}
    except ValueError as error:
        return {"error": str(error)}
    finally:
        library.OpaDestroy(engine)


for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps(answer(request["sources"], request["input"], request["query"])), flush=True)
