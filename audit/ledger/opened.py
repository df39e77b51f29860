"""Are the texts beside the log those that its entries committed to, and was what is gone erased by an act? Looks."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from audit.ledger.personal import commitment
from audit.models import Opening

CHUNK = 2000


@dataclass
class Texts:
    """What is known while the entries go by; `close` says what does not fit."""

    due: dict[UUID, tuple[int, dict[str, str]]] = field(default_factory=dict)  # commitments not yet looked at
    absent: dict[str, int] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)
    faults: list[tuple[int | None, str]] = field(default_factory=list)

    def see(self, index: int, entry: UUID, said: dict[str, Any]) -> None:
        """One entry whose bytes are those that were sealed."""
        if said["type"] == "privacy.erased":
            self.erased.update(said["data"]["erased"])
        if "sd" in said:
            self.due[entry] = index, said["sd"]
        if len(self.due) >= CHUNK:
            self._look()

    def close(self) -> list[tuple[int | None, str]]:
        """The faults, with the index of their entry."""
        self._look()
        for key in self.absent.keys() - self.erased:
            index = self.absent[key]
            self.faults.append(
                (index, f"A text of entry {index} is gone, and no entry tells that it was erased.")
            )
        return self.faults

    def _look(self) -> None:
        found = {
            (row.entry_id, row.path): commitment(bytes(row.salt), row.path, row.value)
            for row in Opening.objects.filter(entry__in=list(self.due))
        }
        for entry, (index, commitments) in self.due.items():
            for path, made in commitments.items():
                held = found.pop((entry, path), None)
                if held is None:
                    self.absent[f"{entry}/{path}"] = index
                elif held != made:
                    self.faults.append(
                        (index, f"A text of entry {index} is not the one that it committed to.")
                    )
        self.faults += [
            (self.due[entry][0], f"Entry {self.due[entry][0]} has a text that it never committed to.")
            for entry, _ in found
        ]
        self.due = {}
