"""`trigger`: starts a job in another orchestrator and stays with it to its end. One file an orchestrator.

`orchestrator` says what each can do, `far` speaks HTTP to it, `action` is the step.
"""
