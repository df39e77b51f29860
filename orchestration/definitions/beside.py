"""Where an action's files lie beside a workflow. A place is a file, or a folder with all below it. Pure."""

from collections.abc import Collection, Iterable, Iterator


def found(place: str, files: Iterable[str]) -> list[str]:
    """The files at a place: the one of this name, or all in the folder of this name; nothing means all."""
    folder = place.rstrip("/") + "/" if place else ""
    return [name for name in files if name == place or name.startswith(folder)]


def missing(places: Iterable[str], files: Collection[str]) -> Iterator[str]:
    """The places at which there is nothing."""
    return (place for place in places if not found(place, files))
