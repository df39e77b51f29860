"""Who waits for a lock between runs. Trusted for the order alone; that two never run is said of `Run` itself."""

from django.db import models

from orchestration.models.run import Run


class Place(models.Model):
    """A run that may start but for its lock. Not governed: it is written anew at each asking, and gone at the start."""

    run = models.OneToOneField(Run, on_delete=models.CASCADE, primary_key=True, related_name="place")
    lock = models.CharField(max_length=200)
    since = models.DateTimeField()
    asked_at = models.DateTimeField(help_text="who does not ask for a while lets the others by")

    class Meta:
        indexes = [models.Index(fields=["lock"], name="place_by_lock")]
