"""Entries as OpenTelemetry log records, in the binary form that every collector understands. Pure."""

from collections.abc import Mapping
from datetime import datetime

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs, SeverityNumber
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from orchestration.outgoing.batches import Batch, Event

CONTENT = "application/x-protobuf"
REFUSED = "attempt.refused"


def body(batch: Batch, *, source: str, release: str, at: datetime) -> bytes:
    """What is posted; `at` is when we saw the records, for all the same."""
    about = {"service.name": "countersign", "service.version": release, "countersign.ledger": source}
    records = [record(one, observed=nanoseconds(at)) for one in batch.events]
    scope = ScopeLogs(scope=InstrumentationScope(name="countersign.ledger"), log_records=records)
    logs = ResourceLogs(resource=Resource(attributes=_pairs(about)), scope_logs=[scope])
    return ExportLogsServiceRequest(resource_logs=[logs]).SerializeToString()


def record(one: Event, *, observed: int) -> LogRecord:
    """The body is the entry, byte for byte; what is asked for most stands in attributes."""
    about = {
        "countersign.index": one.index,
        "countersign.previous": one.previous,
        "countersign.leaf_hash": one.leaf_hash.hex(),
        "countersign.id": one.id,
        "countersign.subject": one.subject,
        "countersign.actor.id": one.actor,
        "countersign.actor.name": one.actor_name or None,
    }
    is_refusal = one.kind == REFUSED
    return LogRecord(
        time_unix_nano=nanoseconds(one.at),
        observed_time_unix_nano=observed,
        severity_number=SeverityNumber.SEVERITY_NUMBER_WARN
        if is_refusal
        else SeverityNumber.SEVERITY_NUMBER_INFO,
        severity_text="WARN" if is_refusal else "INFO",
        event_name=one.kind,
        body=AnyValue(string_value=one.body.decode(errors="replace")),
        attributes=_pairs(about),
    )


def nanoseconds(at: datetime) -> int:
    """Since 1970, without the rounding of a float."""
    return int(at.timestamp()) * 1_000_000_000 + at.microsecond * 1000


def _pairs(about: Mapping[str, str | int | None]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in about.items() if value is not None]


def _value(value: str | int) -> AnyValue:
    return AnyValue(string_value=value) if isinstance(value, str) else AnyValue(int_value=value)
