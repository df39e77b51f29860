"""What stands beside this database: who has seen the log, where it is archived. In sentences; the newest of each."""

from django.conf import settings

from audit.archive import known
from audit.ledger import stamped, tsa, witnesses
from audit.models import Cosignature, Timestamp
from audit.pages.proving import Strip, entries

VERDICTS = {
    "verified": "it was restored and verified",
    "altered": "when it was restored, it had been altered",
    "not_kept": "when it was restored, something was missing or not locked for long enough",
    "cannot_tell": "it could not be restored",
}


def lines() -> list[Strip]:
    """A line each for the witnesses, timestamps and archive of this log; none for what was never set up."""
    return [one for one in (_witnessed(), _seen(), _archived()) if one is not None]


def _witnessed() -> Strip | None:
    """Their cosignatures are verified anew."""
    policy = witnesses.policy()
    last = Cosignature.objects.select_related("checkpoint").order_by("-checkpoint").first()
    if not policy.witnesses:
        return None
    if last is None:
        return Strip("waiting", "No witness yet", f"{len(policy.witnesses)} are asked for each checkpoint.")
    lines = [one.line for one in last.checkpoint.cosignatures.all()]
    who = policy.seen(last.checkpoint.text, lines)
    at = f", {max(who.values()):%Y-%m-%d %H:%M:%S} UTC" if who else ""
    names = ", ".join(sorted(one.name for one in who)) or "nobody"
    told = f"The checkpoint of {entries(last.checkpoint_id)} was cosigned by {names}{at}."
    enough = policy.is_met(last.checkpoint.text, lines)
    demanded = (
        f" {policy.need} of {len(policy.of)} must, before an entry counts as sealed." if policy.need else ""
    )
    return Strip("verified" if enough and who else "waiting", "Cosigned by witnesses", told + demanded)


def _seen() -> Strip | None:
    kept = Timestamp.objects.select_related("checkpoint").order_by("-checkpoint").first()
    if kept is None:
        return (
            Strip("waiting", "No timestamp yet", f"{tsa.authority()} is asked once a day.")
            if settings.TSA_URL
            else None
        )
    told = f"{kept.authority} saw the checkpoint of {entries(kept.checkpoint_id)}, {kept.at:%Y-%m-%d %H:%M:%S} UTC."
    try:
        fault = stamped.fault_of(kept)
    except tsa.CannotCheck as why:
        return Strip("waiting", "Timestamped, not checked here", f"{told} {why}")
    if fault:
        return Strip("not_verified", "The newest timestamp does not verify", f"{told} {fault}")
    return Strip(
        "verified", "Timestamped by others", f"{told} Its signature holds, and it is over this checkpoint."
    )


def _archived() -> Strip | None:
    if not settings.ARCHIVE:
        return None
    written, checked = (known.last(kind, settings.ARCHIVE) for kind in (known.WRITTEN, known.CHECKED))
    if written is None:
        return Strip("waiting", "Not archived yet", f"{settings.ARCHIVE} is written once a day.")
    entry, data = written
    told = f"{entries(data['size'])} lie at {data['place']} since {entry.occurred_at:%Y-%m-%d %H:%M:%S} UTC"
    lock = (
        f", locked until {data['until'][:10]}." if data["until"] else ", with no lock but that of its folder."
    )
    if checked is None:
        return Strip(
            "waiting", "Archived, never tried out", f"{told}{lock} Run: manage.py ledger restore-check"
        )
    verdict = checked[1]["verdict"]
    state = {"verified": "verified", "cannot_tell": "waiting"}.get(verdict, "not_verified")
    tried = f"On {checked[0].occurred_at:%Y-%m-%d} {VERDICTS[verdict]}."
    return Strip(state, "Archived", f"{told}{lock} {tried}")
