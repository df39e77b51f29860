"""What somebody with a superuser's SQL, and with the ledger's stolen key, does to a ledger that the product wrote."""

from uuid import UUID

from django.db import connection, transaction

from accounts.models import Team
from approvals import keys, signoffs
from approvals.models import Chain, SignOff
from audit import witness
from audit.canonical import canonical, parse, uuid7
from audit.clock import database_time
from audit.ledger import checkpoint
from audit.ledger.record import leaf_hash, record
from audit.ledger.tiles import Edge
from audit.models import Checkpoint, Entry, Leaf
from tests import kept
from tests.approvals.authenticator import Authenticator, trusted
from tests.approvals.cast import demand_passkeys
from tests.approvals.test_insider_start import signed
from tests.audit.log import TESTER, as_insider, newest, sequence, write
from tests.factories import Bank


class Story:
    """One change that a passkey approved, one that waits for it, and a team that was renamed; all of it sealed."""

    def __init__(self):
        kept.begin(self, Story, self._build)

    def _build(self):
        self.bank = Bank()
        demand_passkeys(self.bank)
        phone = Authenticator()
        trusted(self.bank.user("noor"), phone)
        signed(self.bank, phone)
        sequence()
        self.backup = everything()
        self.waiting = self.bank.change(inputs={"version": "43"})
        self.bank.say(self.waiting, "jonas")
        self.team = self.bank.teams["elsewhere"]
        rename(self.team, "Renamed")
        sequence()

    def demand_witness(self, folder):
        """A witness, whom an auditor knows, has cosigned the log so far; what their trust.json says of it."""
        key = witness.make(folder, "w.example")
        self.witness = witness.Witness(folder, [str(checkpoint.verifier())])
        self.witness.lock.close()
        self.cosign()
        return {"need": 1, "keys": [key]}

    def cosign(self):
        signed = newest()
        line = self.witness._sign(signed.text)
        as_insider(
            "INSERT INTO audit_cosignature (checkpoint_id, witness, line, at) VALUES (%s, 'w.example', %s, now())",
            signed.size,
            line,
        )


def everything():
    """A backup: every row of every table."""
    return kept._read(kept.filled())


def rename(team, name):
    """A governed row and its entry, in one transaction."""
    with transaction.atomic():
        team.version += 1
        Team.objects.filter(pk=team.pk).update(name=name, version=team.version)
        return record("team.renamed", of=team, subject=team.slug, actor=TESTER)


def sealed(kind):
    """The newest entry of this kind that has its place."""
    return Entry.objects.filter(kind=kind, leaf__isnull=False).latest("id")


def forget(entry):
    """The entry is gone, with its place and whatever waits for one."""
    for table in ("pending", "leaf"):
        as_insider(f"DELETE FROM audit_{table} WHERE entry_id = %s", entry.pk)  # noqa: S608 - one of two names
    as_insider("DELETE FROM audit_entry WHERE id = %s", entry.pk)


def close(index):
    """Later leaves move up into the gap."""
    as_insider("UPDATE audit_leaf SET index = -index WHERE index > %s", index)
    as_insider("UPDATE audit_leaf SET index = -index - 1 WHERE index < 0")


def rebuild(sign=None):
    """The thief of the key: chains, leaves, tiles, head and every checkpoint fit what the entries say now."""
    edge = Edge()
    hashes: list[bytes] = []
    last: dict[UUID, str] = {}  # of each stream
    for leaf in Leaf.objects.select_related("entry").order_by("index"):
        assert leaf.index == len(hashes), "a log without gaps"
        entry = leaf.entry
        said = parse(bytes(entry.body))
        body = canonical({**said, "prev": last.get(entry.stream)})
        hashes.append(leaf_hash(body))
        last[entry.stream] = hashes[-1].hex()
        if body != bytes(entry.body) or hashes[-1] != bytes(entry.leaf_hash):
            as_insider(
                "UPDATE audit_entry SET body = %s, leaf_hash = %s WHERE id = %s", body, hashes[-1], entry.pk
            )
            as_insider("UPDATE audit_leaf SET leaf_hash = %s WHERE index = %s", hashes[-1], leaf.index)
    as_insider("DELETE FROM audit_tile")
    for (level, place), data in edge.extend(hashes).items():
        as_insider(
            "INSERT INTO audit_tile (level, index, width, data) VALUES (%s, %s, %s, %s)",
            level, place, len(data) // 32, data,
        )  # fmt: skip
    as_insider("UPDATE audit_head SET size = %s, root = %s", edge.size, edge.root())
    (sign or sign_anew)(hashes)


def remembering():
    """The signer, out of reach, with what it signed last."""
    keeper, signed = checkpoint.keeper(), newest()
    keeper._remember(size=signed.size, root=bytes(signed.root).hex())
    return keeper


def sign_anew(hashes):
    """Every checkpoint that the log is long enough for, and one of all of it, with the stolen key."""
    sizes = {one for one in Checkpoint.objects.values_list("size", flat=True) if one <= len(hashes)}
    as_insider("DELETE FROM audit_checkpoint")
    keeper = checkpoint.keeper()
    signer = keeper._load(keeper.memory.at(0)[0])
    for size in sizes | {len(hashes)}:
        edge = Edge()
        edge.extend(hashes[:size])
        note = signer.sign(checkpoint.Signed(signer.name, size, edge.root()).text())
        as_insider(
            "INSERT INTO audit_checkpoint (size, root, note, created_at) VALUES (%s, %s, %s, now())",
            size, edge.root(), note,
        )  # fmt: skip


def insert(said):
    """A well-formed entry that no code of the product wrote; it waits for its place as all do."""
    body = canonical(said)
    as_insider(
        "INSERT INTO audit_entry (id, stream, stream_version, kind, subject, actor, occurred_at, body, leaf_hash)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        said["id"], said["stream"], said["stream_version"], said["type"], said["subject"], said["actor"]["id"],
        said["time"], body, leaf_hash(body),
    )  # fmt: skip
    as_insider("INSERT INTO audit_pending (entry_id) VALUES (%s)", said["id"])


# --- the attacks, each on a story ----------------------------------------------------------------------------


def update_awake(story):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE audit_entry SET subject = 'other'")


def edit(story):
    entry = sealed("sign_off.given")
    said = parse(bytes(entry.body))
    body = canonical({**said, "data": {**said["data"], "decision": "reject"}})
    as_insider("UPDATE audit_entry SET body = %s WHERE id = %s", body, entry.pk)


def delete_entry(story):
    as_insider("DELETE FROM audit_entry WHERE id = %s", sealed("sign_off.given").pk)


def delete_with_leaf(story):
    forget(sealed("sign_off.given"))


def swap(story):
    one, other = Leaf.objects.filter(entry__kind="team.created").order_by("index")[:2]
    for place, leaf in ((-1, one), (one.index, other), (other.index, one)):
        as_insider("UPDATE audit_leaf SET index = %s WHERE entry_id = %s", place, leaf.entry_id)


def put_between(story):
    entry = write(1)[0]
    as_insider("DELETE FROM audit_pending")
    as_insider("UPDATE audit_leaf SET index = -index - 1 WHERE index >= 5")
    as_insider("UPDATE audit_leaf SET index = -index WHERE index < 0")
    as_insider(
        "INSERT INTO audit_leaf (index, entry_id, leaf_hash, kind, subject, actor, occurred_at)"
        " SELECT 5, id, leaf_hash, kind, subject, actor, occurred_at FROM audit_entry WHERE id = %s", entry.pk
    )  # fmt: skip


def cut(story):
    as_insider("DELETE FROM audit_leaf WHERE index >= %s", Leaf.objects.count() - 2)


def edit_and_rebuild(story):
    edit(story)
    rebuild()


def edit_rebuild_and_ask(story):
    """Every other key is stolen, and the signer is asked."""
    keeper = remembering()
    edit(story)
    rebuild(lambda _: as_insider("DELETE FROM audit_checkpoint"))
    sequence(keeper)


def drop_last_and_rebuild(story):
    entry = sealed("team.renamed")
    index = entry.leaf.index
    forget(entry)
    close(index)
    as_insider("UPDATE accounts_team SET name = 'Elsewhere', version = 1 WHERE id = %s", story.team.pk)
    rebuild()


def restore(story):
    for table in kept.filled():
        as_insider(f"DELETE FROM {table}")  # noqa: S608 - a name of ours
    kept._put_back(story.backup)


def restore_and_go_on(story):
    keeper = remembering()
    restore(story)
    write(100)
    sequence(keeper)


def edit_row(story):
    as_insider("UPDATE orchestration_change SET state = 'approved' WHERE id = %s", story.waiting.pk)


def delete_row(story):
    as_insider("DELETE FROM approvals_signoff")


def unqueue(story):
    write(1)
    as_insider("DELETE FROM audit_pending")


def suppress(story):
    forget(rename(story.team, "Never"))
    as_insider("UPDATE accounts_team SET name = 'Renamed', version = 2 WHERE id = %s", story.team.pk)


def forge(story):
    """A session's approval as the product would have written it, in the name of somebody who has a passkey."""
    chain = Chain.objects.get(pk=story.waiting.revision.chain_id)
    user, stage = story.bank.user("noor"), chain.stages.get(name="Security")
    row = SignOff(
        chain=chain, stage=stage, person_id=user.person_id, user=user, decision="approve", subject=chain.subject,
        chain_digest=chain.digest, given_at=database_time(),
    )  # fmt: skip
    row.signature = keys.sign("signoff", signoffs._statement(row))
    with transaction.atomic():
        row.save(force_insert=True)
        signoffs._record("sign_off.given", row, stage, by=story.bank.people["noor"])
    sequence()


def entry_without_row(story):
    before = sealed("team.renamed")
    said = parse(bytes(before.body))
    insert({**said, "id": str(uuid7()), "stream_version": 3, "prev": bytes(before.leaf_hash).hex()})
    sequence()


def invent(story):
    made = str(uuid7())
    said = parse(bytes(sealed("team.created").body))
    insert(
        {**said, "id": made, "stream": made, "type": "attempt.refused", "time": "2020-01-01T00:00:00.000000Z"}
        | {"state": None, "data": {"attempted": "x", "code": "not_allowed", "detail": "x"}}
    )
    sequence()


def stop_sequencing(story):
    """Acts go on, and nobody gives them a place."""
    write(2)
    waiting = "SELECT entry_id FROM audit_pending"
    as_insider(
        f"UPDATE audit_entry SET occurred_at = occurred_at - interval '2 minutes' WHERE id IN ({waiting})"  # noqa: S608 - ours
    )


def edit_and_rebuild_with_witnesses(story):
    """The thief of the key has those of every witness that the auditor knows, too."""
    edit_and_rebuild(story)
    as_insider("DELETE FROM audit_cosignature")
    story.cosign()
