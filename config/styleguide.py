"""The page that shows every component in its states: for designers, for screenshots, for the axe run.

Drawn from constants only; must never touch a row. Served in a demo and while developing (config/urls.py).
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import SafeString

NAV: list[dict[str, Any]] = [
    {"url": "/inbox/", "label": "Inbox", "icon": "inbox", "count": 5, "group": ""},
    {"url": "/workflows/", "label": "New request", "icon": "plus", "group": ""},
    {"url": "/changes/", "label": "Changes", "icon": "list", "current": True, "group": ""},
    {"url": "/runs/", "label": "Runs", "icon": "play", "group": ""},
    {"url": "/environments/", "label": "Environments", "icon": "grid", "group": ""},
    {"url": "/catalogue/", "label": "Workflows", "icon": "book", "group": "Govern"},
    {"url": "/policies/", "label": "Policies", "icon": "shield", "group": "Govern"},
    {"url": "/compliance/", "label": "Compliance", "icon": "chart", "group": "Govern"},
    {"url": "/audit/", "label": "Audit log", "icon": "ledger", "group": "Govern"},
    {"url": "/admin/", "label": "Admin", "icon": "cog", "group": "Operate"},
]
DIGEST = "sha256:51be0c44d9a97f2e8b13c60a5d7e94f1b2a83c6d0e5f47198a2b3c4d5e6fa07a"
CHAIN_DIGEST = "sha256:9f2c41d7a8b35e60c1f4d29b7e83a605cd12ef94b7a06358d1c2e3f4a5b6c1d7"
STATES = [
    "draft", "waiting", "sent_back", "approved", "scheduled", "running", "succeeded", "failed",
    "cancelled", "unknown", "rejected", "withdrawn", "expired", "superseded", "queued", "timed_out",
    "skipped", "omitted", "paused", "passed", "exception", "not_tested", "verified", "denied", "freeze",
    "break_glass", "drift", "flagged",
]  # fmt: skip
FACTS = [
    {"label": "What", "value": "4.17.2 → 4.18.0", "note": "41 commits, 1 migration", "mono": True},
    {"label": "Where", "value": "production", "note": "6 instances, tier 1"},
    {"label": "When", "value": "Right after approval", "note": "Window open to 16:00"},
    {"label": "Risk", "risk": "high", "note": "Tier 1 and a migration"},
    {"label": "Undo", "value": "Not fully", "icon": "failed", "note": "Code yes, dropped column no"},
    {"label": "Evidence", "value": "7 of 8 present", "icon": "warning", "note": "Load test not run"},
]
DIFFERENCES = [
    "Drops a column. None of the last 20 did.",
    "Load test skipped. It ran for 19 of the last 20.",
    "First production deploy of this service by Mara.",
]
RULES = [
    {
        "title": "Production needs the service owner",
        "source": "prod.rego:18",
        "read": [{"path": "environment.slug", "value": "production"}],
        "result": "Owner 1 of 1",
        "kind": "matched",
    },
    {
        "title": "Irreversible data change on tier 1 needs Security",
        "source": "data.rego:41",
        "url": "#policy",
        "read": [
            {"path": "facts.migration.reversible", "value": "false"},
            {"path": "service.tier", "value": "1"},
        ],
        "result": "Security 0 of 1",
        "kind": "matched",
        "counterfactual": "If the migration were reversible: not needed.",
    },
]
RULES_REST = [
    {
        "title": "A freeze needs an exception",
        "source": "freeze.rego:9",
        "read": [{"path": "environment.frozen_by", "value": "[]"}],
        "result": "",
        "kind": "not_matched",
    },
    {
        "title": "Card data needs Fraud",
        "source": "cards.rego:4",
        "read": [],
        "result": "",
        "kind": "out_of_scope",
    },
]
STEPS: list[dict[str, Any]] = [
    {"key": "verify", "title": "Verify artifact", "state": "succeeded", "note": "8 s", "url": "#log"},
    {
        "key": "snapshot",
        "title": "Snapshot database",
        "state": "succeeded",
        "needs": ["verify"],
        "note": "41 s",
    },
    {"key": "canary", "title": "Canary 1 of 6", "state": "running", "needs": ["verify"], "note": "1 m 10 s"},
    {"key": "migrate", "title": "Run migration", "state": "blocked", "needs": ["snapshot", "canary"]},
    {"key": "roll-out", "title": "Roll out 5 of 6", "state": "blocked", "needs": ["migrate"]},
]
LINES = [
    {"line": 1, "stream": "system", "text": "attempt 1 on node-2, permit 51be0c…a07a"},
    {
        "line": 2,
        "stream": "stdout",
        "text": "\x1b[32martifact sha256:9f2c41d7 signed by ci@payments, verified\x1b[0m",
    },
    {
        "line": 3,
        "stream": "stdout",
        "text": "\x1b[33mplan: 1 destructive statement\x1b[0m, 2100318 rows affected",
    },
    {"line": 4, "stream": "stderr", "text": "lock wait on accounts, 2 s"},
    {"line": 5, "stream": "stdout", "text": "canary 1 of 6 \x1b[1mhealthy\x1b[0m"},
]
PREVIEW = {
    "summary": "This needs 2 approvals: service owner and Security.",
    "note": "Similar changes were approved in 55 min (median of 20).",
    "points": [
        {
            "state": "waiting",
            "title": "Service owner, 1 of Jonas Berg or Lena Falk",
            "note": "Because the environment is production.",
        },
        {
            "state": "waiting",
            "title": "Security, any 1 of 4",
            "note": "Because the migration drops a column on a tier 1 service.",
            "url": "#policy",
            "link": "Rule data.rego:41",
        },
        {"state": "person", "title": "You cannot approve this yourself", "note": "You are the requester."},
        {
            "state": "succeeded",
            "title": "No freeze. Window open until 16:00",
            "note": "Quarter-end freeze starts Friday 16:00.",
        },
        {"state": "warning", "title": "Load test has not run for 4.18.0", "note": "Not required."},
    ],
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["version", "strategy", "ticket"],
    "properties": {
        "version": {
            "type": "string",
            "title": "Version",
            "description": "Built and signed.",
            "pattern": "^[0-9.]+$",
            "examples": ["4.18.0"],
        },
        "replicas": {"type": "integer", "title": "Instances", "minimum": 1, "maximum": 12, "default": 6},
        "strategy": {"enum": ["canary", "all at once"], "title": "Strategy"},
        "region": {"enum": ["north", "south", "east", "west", "centre"], "title": "Region"},
        "ticket": {"type": "string", "title": "Ticket", "examples": ["PAY-7712"]},
        "notify": {"type": "boolean", "title": "Tell the on-call engineer", "default": True},
        "why": {
            "type": "string",
            "title": "Why now, and what could go wrong?",
            "x-ui": {"widget": "textarea"},
            "description": "Reviewers read this first.",
        },
    },
}
ERRORS = [
    {"pointer": "/inputs/ticket", "detail": "PAY-77 is closed. Use an open ticket of the Payments project."}
]
PROOF = {
    "state": "verified",
    "title": "Verified: entry 121002 is in checkpoint 412 and unchanged.",
    "sentences": [
        "This entry is included in checkpoint 412, signed 08:00 by key K3.",
        "The log has only grown since checkpoint 1.",
    ],
    "rows": [("Leaf hash", "7d0cb1a8e2f3"), ("Path", "17 nodes"), ("Root", "19aa03cc5d21")],
    "command": "countersign ledger verify --entry 121002 --checkpoint checkpoint.txt",
    "url": "#proof",
}

DIFF = """@@ ledger.accounts, 2.1 M rows @@
+ ALTER TABLE accounts DROP COLUMN legacy_iban;
- legacy_iban text"""

CHART = {
    "title": "Hours from request to last approval",
    "note": "weekly, median",
    "finding": "The median falls from 2.1 to 0.9 hours over 4 weeks.",
    "svg": SafeString(
        '<svg viewBox="0 0 600 110"><path class="grid" d="M0 20H600M0 60H600M0 100H600"/>'
        '<path class="mark" d="M4 24L200 44L400 70L596 78"/>'
        '<text class="axis" x="4" y="14">median</text></svg>'
    ),
    "columns": ["Week", "Hours"],
    "rows": [["36", "2.1"], ["37", "1.7"], ["38", "1.1"], ["39", "0.9"]],
}


def _chain(now: datetime) -> dict[str, Any]:
    """A chain with a stage done, two side by side, and what follows."""
    note = "Rolled the same release to staging with Mara on Thursday."
    done = {"person": "Jonas Berg", "decision": "approve", "at": now - timedelta(minutes=38), "comment": note}
    return {
        "stages": [
            {
                "name": "Service owner",
                "order": 1,
                "state": "done",
                "given": 1,
                "quorum": 1,
                "sign_offs": [done],
            },
            {
                "name": "Security",
                "order": 2,
                "state": "yours",
                "given": 0,
                "quorum": 1,
                "who": "You, or 3 others",
            },
            {"name": "Network", "order": 2, "state": "waiting", "given": 0, "quorum": 1, "who": "Ines Prado"},
        ],
        "after": {"title": "Run starts", "text": "at once, no later stop"},
    }


def _decision() -> dict[str, Any]:
    return {
        "action": "#",
        "role": "as Security reviewer",
        "stage": "security",
        "digest": DIGEST,
        "chain_digest": CHAIN_DIGEST,
        "risk": "high",
        "flags": [
            {"id": "migration", "title": "Migration that cannot be undone", "url": "#diff"},
            {"id": "secret", "title": "New secret reference", "url": "#diff"},
        ],
        "effects": {"approve": "Approve and start deploy", "send_back": "Send back to Mara"},
        "doors": [
            {"label": "Ask a question", "url": "#ask"},
            {"label": "Hand over", "url": "#hand-over"},
            {"label": "I have a conflict", "url": "#conflict"},
        ],
    }


def _timeline(now: datetime) -> list[dict[str, Any]]:
    return [
        {
            "actor": "Mara Lindqvist",
            "verb": "requested",
            "object": "this change",
            "at": now - timedelta(minutes=74),
            "seq": 120981,
        },
        {
            "actor": "Policy",
            "verb": "asked for 2 approvals",
            "at": now - timedelta(minutes=74),
            "seq": 120982,
            "state": "waiting",
        },
        {
            "actor": "Ines Prado",
            "verb": "asked",
            "at": now - timedelta(minutes=60),
            "state": "comment",
            "said": "Does a partner job still read legacy_iban?",
        },
        {
            "actor": "Jonas Berg",
            "verb": "approved",
            "object": "as service owner",
            "at": now - timedelta(minutes=38),
            "seq": 121002,
            "state": "approved",
        },
    ]


def _small(now: datetime) -> dict[str, Any]:
    """The small components: tabs, tiles, chips, cells, dialog, toast."""
    return {
        "crumbs": [{"label": "Inbox", "url": "#inbox"}, {"label": "CHG-2041"}],
        "actions": [
            {"label": "Watch", "url": "#watch"},
            {"label": "Start now", "url": "#start", "reason": "One approval is missing."},
            {"label": "New request", "url": "#new", "icon": "plus", "primary": True},
        ],
        "tabs": [
            {"label": "Needs my decision", "url": "#a", "count": 5, "current": True},
            {"label": "My requests", "url": "#b", "count": 3},
            {"label": "Decided today", "url": "#c", "count": 0},
        ],
        "tiles": [
            {"label": "Population", "value": "1 284", "note": "every production run, none sampled"},
            {"label": "Passed", "value": "1 279", "note": "of 1 284"},
            {
                "label": "Failed",
                "value": "1",
                "note": "since last test: 1 new, 2 fixed",
                "state": "failed",
                "url": "#f",
            },
            {
                "label": "Log integrity",
                "value": "Verified",
                "note": "entries 88102 to 121447",
                "state": "verified",
            },
        ],
        "chips": [
            {"key": "is", "value": "waiting", "remove_url": "#1"},
            {"key": "env", "value": "production", "remove_url": "#2"},
        ],
        "cell": {
            "version": "4.17.2",
            "since": now - timedelta(days=9),
            "by": "Mara",
            "labels": [{"state": "waiting", "words": "4.18.0 needs Security", "url": "#c"}],
        },
        "stale_cell": {"stale": "Unknown since 14:02"},
        "dialog": {
            "id": "withdraw",
            "title": "Withdraw CHG-2041?",
            "text": "Jonas is told, and his approval is void.",
            "action": "#",
            "label": "Withdraw change",
            "danger": True,
        },
        "toast": {"text": "Density is compact.", "undo_url": "#"},
        "keys": [("j k", "move"), ("Enter", "open"), ("?", "all shortcuts")],
        "ago": [now - timedelta(seconds=14), now - timedelta(days=3), now + timedelta(minutes=78)],
    }


def _beside(now: datetime) -> dict[str, Any]:
    """What surrounds a decision, and what waits for a person besides one."""
    asked = {"pk": "q1", "author": {"name": "Noor"}, "created_at": now, "text": "Who still reads the column?"}
    stage = {"id": "s1", "pk": "s1", "name": "Security"}
    owed = {"id": "o1", "text": "Watch the error rate.", "state": "open", "set_by": "Jonas", "opened_at": now}
    told = {"kind": "question", "key": "CHG-2041", "url": "#", "words": "Noor asked you", "at": now}
    colleagues = [{"stage": stage, "people": [{"user": "u1", "name": "Ines"}]}]
    return {
        "beside": {"url": "#", "requester": "Mara", "stages": [stage], "colleagues": colleagues},
        "questions": [{"row": asked, "url": "#"}],
        "obligations": [{**owed, "close_url": "#"}],
        "notices": [told],
    }


def context(now: datetime) -> dict[str, Any]:
    """Everything that the page draws, seen from one moment."""
    return {
        "stops": [],
        "nav": NAV,
        "demo": True,
        "organisation": "Harbourline Bank",
        "states": STATES,
        "facts": FACTS,
        "differences": DIFFERENCES,
        "rules": RULES,
        "rules_rest": RULES_REST,
        "policy": {"name": "prod-deploy", "digest": CHAIN_DIGEST, "url": "#policy"},
        "steps": STEPS,
        "log": {
            "url": "",
            "title": "Canary 1 of 6",
            "lines": LINES,
            "link": "",
            "raw_url": "#raw",
            "active": True,
        },
        "preview": PREVIEW,
        "schema": SCHEMA,
        "values": {"ticket": "PAY-77", "strategy": "canary"},
        "errors": ERRORS,
        "proof": PROOF,
        "chart": CHART,
        "digest": DIGEST,
        "decision": _decision(),
        "timeline": _timeline(now),
        "diff": DIFF,
        **_chain(now),
        **_small(now),
        **_beside(now),
    }


def styleguide(request: HttpRequest) -> HttpResponse:
    """GET /styleguide/"""
    return render(request, "components/styleguide.html", context(datetime.now(UTC)))
