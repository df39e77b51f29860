"""The ledger's tables. Nothing here is ever updated but the head; only `ledger/` writes."""

from typing import ClassVar

from django.db import models

from audit.canonical import uuid7


class Coupled(models.Model):
    """A governed row: each version has exactly one entry; the database enforces it (ledger/coupling.py)."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    version = models.PositiveIntegerField(default=1)
    unsealed: ClassVar[tuple[str, ...]] = ()  # columns with personal data: no digest of them enters the log
    erasable: ClassVar[tuple[str, ...]] = ()  # of these, copies of what its entries only commit to

    class Meta:
        abstract = True


class Entry(models.Model):
    """One act: the exact canonical bytes that were hashed, and what is needed to find them."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    stream = models.UUIDField()
    stream_version = models.PositiveIntegerField()
    kind = models.CharField(max_length=64)
    subject = models.CharField(max_length=200)
    actor = models.CharField(max_length=64)
    occurred_at = models.DateTimeField()
    body = models.BinaryField()
    leaf_hash = models.BinaryField(max_length=32)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["stream", "stream_version"], name="entry_once_per_version")
        ]
        indexes = [
            models.Index(fields=["subject", "id"], name="entry_by_subject"),
        ]


class Pending(models.Model):
    """The sequencer's work queue, trusted for nothing."""

    entry = models.OneToOneField(Entry, on_delete=models.PROTECT, primary_key=True, related_name="+")


class Leaf(models.Model):
    """The place of an entry in the log, and what it is looked for by: each question finds its page along one index.

    The sequencer copies these columns here, so that an act pays for none of the indexes.
    """

    index = models.BigIntegerField(primary_key=True)
    entry = models.OneToOneField(Entry, on_delete=models.PROTECT, related_name="leaf")
    leaf_hash = models.BinaryField(max_length=32)
    kind = models.CharField(max_length=64)
    subject = models.CharField(max_length=200)
    actor = models.CharField(max_length=64)
    occurred_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["occurred_at", "index"], name="leaf_by_time"),
            models.Index(fields=["kind", "occurred_at", "index"], name="leaf_by_kind"),
            models.Index(fields=["subject", "occurred_at", "index"], name="leaf_by_subject"),
            models.Index(fields=["actor", "kind", "occurred_at", "index"], name="leaf_by_actor"),
        ]


class Tile(models.Model):
    """Up to 256 hashes of one level (C2SP tlog-tiles); the rightmost of a level grows."""

    level = models.PositiveSmallIntegerField()
    index = models.BigIntegerField()
    width = models.PositiveSmallIntegerField()
    data = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["level", "index"], name="tile_once")]


class Checkpoint(models.Model):
    """A signed head of the log (C2SP tlog-checkpoint): `note` is the whole signed note."""

    size = models.BigIntegerField(primary_key=True)
    root = models.BinaryField(max_length=32)
    note = models.TextField()
    created_at = models.DateTimeField()

    @property
    def text(self) -> str:
        """What is signed: all but the signatures."""
        return self.note.partition("\n\n")[0] + "\n"

    @property
    def cosigned(self) -> str:
        """The note with the lines of the witnesses that cosigned it."""
        return self.note + "".join(one.line for one in self.cosignatures.all())


class Cosignature(models.Model):
    """What a witness (C2SP tlog-cosignature) answered when it was shown a checkpoint; `at` is its own clock's."""

    checkpoint = models.ForeignKey(Checkpoint, on_delete=models.PROTECT, related_name="cosignatures")
    witness = models.CharField(max_length=200)
    line = models.TextField()
    at = models.DateTimeField()

    class Meta:
        ordering = ["witness"]
        constraints = [
            models.UniqueConstraint(fields=["checkpoint", "witness"], name="cosignature_once"),
        ]


class Timestamp(models.Model):
    """What a timestamp authority (RFC 3161) answered when it was shown a checkpoint's note; `at` is its own clock's."""

    checkpoint = models.OneToOneField(Checkpoint, on_delete=models.PROTECT, primary_key=True)
    reply = models.BinaryField()
    at = models.DateTimeField()
    authority = models.CharField(max_length=253)
    created_at = models.DateTimeField()


class Head(models.Model):
    """One row: the newest integrated size and root; compare-and-swap target of the sequencer."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    size = models.BigIntegerField(default=0)
    root = models.BinaryField(max_length=32)
    integrated_at = models.DateTimeField(auto_now=True)
    newest_at = models.DateTimeField(null=True, help_text="the latest time that an entry of the log bears")


class Opening(models.Model):
    """The text behind a commitment of an entry, and its salt. Never changed; erased by a governed act alone."""

    entry = models.ForeignKey(Entry, on_delete=models.PROTECT, related_name="openings")
    path = models.CharField(max_length=64)
    salt = models.BinaryField(max_length=32)
    value = models.TextField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["entry", "path"], name="opening_once")]


class ActorName(models.Model):
    """The erasable link from an actor's pseudonymous id to a name: entries hold the id only."""

    actor = models.CharField(max_length=64, primary_key=True)
    name = models.CharField(max_length=200)
    handle = models.CharField(max_length=150)


class SavedView(models.Model):
    """A search under a name. `owner` is the id of an account, as in an entry."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.CharField(max_length=64)
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=600)
    shared = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="view_once_per_owner_and_name")]


class FormerName(models.Model):
    """What an actor was called until then: an old entry is shown with the name of its time."""

    actor = models.CharField(max_length=64, db_index=True)
    name = models.CharField(max_length=200)
    handle = models.CharField(max_length=150)
    until = models.DateTimeField()


class Export(models.Model):
    """A report as a file: asked for, made by a worker, kept for some time. What left the house stays an entry."""

    class State(models.TextChoices):
        QUEUED = "queued"  # waits for a worker
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"  # by whoever asked, or an admin
        REMOVED = "removed"  # its file; the row stays, so that a link says what became of it

    class Format(models.TextChoices):
        CSV = "csv"
        XLSX = "xlsx"
        PDF = "pdf"
        OSCAL = "oscal"
        BUNDLE = "bundle"
        DSSE = "dsse"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    format = models.CharField(max_length=10, choices=Format.choices)
    asked = models.JSONField(help_text="from, to, environment, framework: as they were asked")
    checkpoint_size = models.BigIntegerField(help_text="of the checkpoint that it is made under")
    actor = models.CharField(max_length=64, help_text="who asked, and may have it")
    actor_kind = models.CharField(max_length=16)
    actor_auth = models.CharField(max_length=16)
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    turn = models.PositiveIntegerField(default=0, help_text="rises with each worker that takes it up")
    lost = models.PositiveSmallIntegerField(default=0, help_text="workers that fell silent over it")
    seen_at = models.DateTimeField(help_text="when it last moved")
    done = models.BigIntegerField(default=0, help_text="entries that were read")
    problem = models.TextField(blank=True)
    name = models.CharField(max_length=200, blank=True)
    content_type = models.CharField(max_length=100, blank=True)
    size = models.BigIntegerField(default=0, help_text="bytes")
    rows = models.BigIntegerField(default=0)
    digest = models.CharField(max_length=71, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        indexes = [models.Index(fields=["actor", "-created_at"], name="export_by_actor")]

    @property
    def under_way(self) -> bool:
        return self.state in {self.State.QUEUED, self.State.RUNNING}


class ExportPart(models.Model):
    """A piece of the file of an export."""

    export = models.ForeignKey(Export, on_delete=models.CASCADE, related_name="parts")
    number = models.PositiveIntegerField()
    data = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["export", "number"], name="export_part_once")]


class Sample(models.Model):
    """A sample of a population: asked for before anybody could know which items it would be, then drawn."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    control = models.CharField(max_length=16)
    asked = models.JSONField(help_text="from, to, environment: as they were asked")
    wanted = models.PositiveIntegerField(help_text="items; all where there are fewer")
    commitment = models.CharField(max_length=64, help_text="SHA-256 of the nonce, as hex")
    nonce = models.CharField(max_length=200, blank=True, help_text="once it is told")
    actor = models.CharField(max_length=64)
    entry = models.ForeignKey(
        Entry, on_delete=models.PROTECT, related_name="+", help_text="that it was asked for"
    )
    checkpoint_size = models.BigIntegerField(null=True, help_text="of the first checkpoint over that entry")
    seed = models.CharField(max_length=64, blank=True)
    population = models.PositiveIntegerField(null=True)
    places = models.JSONField(default=list, help_text="of the items in the population, from 0")
    marks = models.JSONField(default=dict, help_text="place -> what whoever drew it found")
    created_at = models.DateTimeField(auto_now_add=True)
    drawn_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at", "-pk"]


class ControlTest(models.Model):
    """One time that a worker ran every control test over the whole log. What it found is an entry, too."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    checkpoint_size = models.BigIntegerField(help_text="of the checkpoint that it reads up to")
    actor = models.CharField(max_length=64, help_text="who asked for it")
    actor_kind = models.CharField(max_length=16)
    actor_auth = models.CharField(max_length=16)
    asked_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField(help_text="when it last moved")
    done = models.BigIntegerField(default=0, help_text="entries that were read")
    problem = models.TextField(blank=True, help_text="why nothing was tested")
    tested_at = models.DateTimeField(null=True, db_index=True)
    found = models.JSONField(
        default=dict, help_text="control -> its definition, its result, how many of each"
    )
    bad = models.JSONField(default=dict, help_text="control -> item that did not pass -> how often")
    entry = models.ForeignKey(Entry, on_delete=models.PROTECT, related_name="+", null=True)

    class Meta:
        ordering = ["-asked_at", "-pk"]
