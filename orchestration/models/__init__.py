"""What is changed and how it runs, as rows. States are written by lifecycle.py alone."""

from orchestration.models.catalogue import (
    CONTROL_ROOM,
    ITSELF,
    Environment,
    Service,
    Workflow,
    WorkflowVersion,
)
from orchestration.models.change import Change, Comment, Revision
from orchestration.models.destination import Destination
from orchestration.models.evidence import EvidenceFile
from orchestration.models.plan import Artifact, Plan
from orchestration.models.queue import Place
from orchestration.models.review import Conclusion, Review
from orchestration.models.run import LogChunk, Run, RunEvent, Step, StepAttempt, WorkerNode
from orchestration.models.secret import Secret, SecretVersion
from orchestration.models.waiver import Waiver
from orchestration.models.worker import Worker

__all__ = [
    "CONTROL_ROOM",
    "ITSELF",
    "Artifact",
    "Change",
    "Comment",
    "Conclusion",
    "Destination",
    "Environment",
    "EvidenceFile",
    "LogChunk",
    "Place",
    "Plan",
    "Review",
    "Revision",
    "Run",
    "RunEvent",
    "Secret",
    "SecretVersion",
    "Service",
    "Step",
    "StepAttempt",
    "Waiver",
    "Worker",
    "WorkerNode",
    "Workflow",
    "WorkflowVersion",
]
