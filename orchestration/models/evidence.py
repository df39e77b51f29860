"""Files that people gave as evidence. What the log says about one is its digest; the bytes lie here alone."""

from django.db import models

from orchestration.models.change import Change


class EvidenceFile(models.Model):
    """The bytes of one, named by their digest. Removed as a whole, which the log tells, and never altered."""

    change = models.ForeignKey(Change, on_delete=models.PROTECT, related_name="evidence_files")
    digest = models.CharField(max_length=71)
    name = models.CharField(max_length=200)
    data = models.BinaryField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["change", "digest"], name="evidence_file_once")]
