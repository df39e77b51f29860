"""Shapes of logs: lines, pages of them, what a search found."""

from typing import Any

from rest_framework import serializers


class LogLine(serializers.Serializer[Any]):
    """A whole line, or a piece of output that begins in this line; `cut` bytes of it are only in the text."""

    seq = serializers.IntegerField()
    line = serializers.IntegerField()
    stream = serializers.ChoiceField(choices=["stdout", "stderr", "system"])
    text = serializers.CharField()
    at = serializers.DateTimeField()
    cut = serializers.IntegerField()


class LogPage(serializers.Serializer[Any]):
    """What a step printed; `total` counts the lines by now, `after` is what to go on with where no `first` is given."""

    results = LogLine(many=True)
    after = serializers.IntegerField()
    more = serializers.BooleanField()
    ended = serializers.BooleanField()
    total = serializers.IntegerField()


class LogFound(serializers.Serializer[Any]):
    """Numbers of lines with a match; `count` in the whole log, `before` of them before the first that is told. Not
    `complete`: the time was over, and only lines up to `searched` were looked at."""

    results = serializers.ListField(child=serializers.IntegerField())
    count = serializers.IntegerField()
    before = serializers.IntegerField()
    more = serializers.BooleanField()
    complete = serializers.BooleanField()
    searched = serializers.IntegerField()
