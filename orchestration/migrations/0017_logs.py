"""Lines, places and chains of logs; the storage they may be moved to; when they were removed."""

import hashlib
import struct

import django.db.models.deletion
from django.db import migrations, models

HEAD = struct.Struct("!IQI")


def place_chunks(apps, schema_editor):
    """What was printed before has its lines counted and its chain made; no entry tells its roots."""
    attempts = apps.get_model("orchestration", "StepAttempt")
    chunks = apps.get_model("orchestration", "LogChunk")
    step, lines, offset, is_open = None, 0, 0, False
    for attempt in attempts.objects.order_by("step_id", "number").iterator():
        if attempt.step_id != step:
            step, lines, offset, is_open = attempt.step_id, 0, 0, False
        stream, digest = "", hashlib.sha256(b"countersign/log/v1\0" + attempt.pk.bytes).digest()
        for chunk in chunks.objects.filter(attempt=attempt).order_by("pk").iterator(chunk_size=16):
            data = bytes(chunk.data)
            name = chunk.stream.encode()
            digest = hashlib.sha256(
                digest + HEAD.pack(chunk.seq, chunk.dropped_bytes, len(name)) + name + data
            ).digest()
            breaks = is_open and (chunk.stream != stream or chunk.dropped_bytes > 0)
            text = b"\n" if breaks else b""
            if chunk.dropped_bytes:
                text += b"[%d bytes were left out here]\n" % chunk.dropped_bytes
            text += data
            chunks.objects.filter(pk=chunk.pk).update(
                step_id=step, first_line=lines + 1, offset=offset, breaks=breaks, digest=digest
            )
            if text:
                lines, offset, stream, is_open = (
                    lines + text.count(b"\n"),
                    offset + len(text),
                    chunk.stream,
                    text[-1:] != b"\n",
                )
            attempt.log_root = f"sha256:{digest.hex()}"
        if attempt.log_root:
            attempt.log_lines, attempt.log_bytes, attempt.log_open = lines + is_open, offset, is_open
            attempt.save(update_fields=["log_lines", "log_bytes", "log_open", "log_root"])
    schema_editor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # so that the tables may be altered next


class Migration(migrations.Migration):
    dependencies = [("orchestration", "0016_destinations")]

    operations = [
        migrations.AddField(
            "stepattempt",
            "log_lost",
            models.BigIntegerField(
                default=0, db_default=0, help_text="of the bytes left out, those the database did not take"
            ),
        ),
        migrations.AddField(
            "stepattempt",
            "log_lines",
            models.BigIntegerField(
                default=0, db_default=0, help_text="of the step's log, when this attempt's ended"
            ),
        ),
        migrations.AddField(
            "stepattempt",
            "log_bytes",
            models.BigIntegerField(
                default=0, db_default=0, help_text="of the step's log, when this attempt's ended"
            ),
        ),
        migrations.AddField(
            "stepattempt",
            "log_open",
            models.BooleanField(default=False, db_default=False, help_text="the last line has no end"),
        ),
        migrations.AddField(
            "stepattempt",
            "log_root",
            models.CharField(
                blank=True, default="", db_default="", help_text="end of the chain of chunks", max_length=71
            ),
        ),
        migrations.AddField(
            "stepattempt",
            "log_moved_at",
            models.DateTimeField(blank=True, help_text="to the storage of logs", null=True),
        ),
        migrations.AddField(
            "stepattempt",
            "log_removed_at",
            models.DateTimeField(blank=True, help_text="its time was over", null=True),
        ),
        migrations.AddField(
            "logchunk",
            "step",
            models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="chunks",
                to="orchestration.step",
            ),
        ),
        migrations.AddField(
            "logchunk",
            "part",
            models.PositiveIntegerField(
                help_text="in which object there: the seq of its first chunk", null=True
            ),
        ),
        migrations.AddField(
            "logchunk",
            "first_line",
            models.BigIntegerField(default=1, help_text="of the step's log: the line of the first byte"),
        ),
        migrations.AddField(
            "logchunk",
            "offset",
            models.BigIntegerField(default=0, help_text="of the first byte, in the text of the step's log"),
        ),
        migrations.AddField(
            "logchunk",
            "breaks",
            models.BooleanField(default=False, help_text="it ends the line before it, which had no end"),
        ),
        migrations.AddField(
            "logchunk",
            "digest",
            models.BinaryField(default=b"", help_text="of this chunk and the digest before it"),
        ),
        migrations.RunPython(place_chunks, migrations.RunPython.noop, elidable=True),
        migrations.AlterField(
            "logchunk",
            "data",
            models.BinaryField(help_text="null: it lies in the storage of logs", null=True),
        ),
        migrations.AlterField(
            "logchunk",
            "step",
            models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="chunks",
                to="orchestration.step",
            ),
        ),
        migrations.AlterField(
            "logchunk",
            "first_line",
            models.BigIntegerField(help_text="of the step's log: the line of the first byte"),
        ),
        migrations.AlterField(
            "logchunk",
            "offset",
            models.BigIntegerField(help_text="of the first byte, in the text of the step's log"),
        ),
        migrations.AlterField(
            "logchunk", "digest", models.BinaryField(help_text="of this chunk and the digest before it")
        ),
        migrations.AddIndex(
            "logchunk", models.Index(fields=["step", "first_line"], name="log_chunk_by_line")
        ),
        migrations.AddIndex("logchunk", models.Index(fields=["step", "offset"], name="log_chunk_by_offset")),
        migrations.AddIndex(
            "stepattempt",
            models.Index(
                condition=models.Q(("last_seq__gt", 0), ("log_moved_at", None), ("log_removed_at", None)),
                fields=["ended_at"],
                name="attempt_log_here",
            ),
        ),
    ]
