"""Governed acts: edits that weaken protection are requested, countersigned and run like any change.

Each act is a workflow of its own in the environment `control-room`: policy judges it, people sign it off, the gate
lets it start, and a worker then calls the writer below. It must never offer a second way past an approval.
"""
