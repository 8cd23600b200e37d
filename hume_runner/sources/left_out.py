"""What patterns meet and a run does not take: told once, with numbers, so that nothing is missed without a word."""

from __future__ import annotations

from dataclasses import dataclass, field

from hume_runner.amounts import counted


@dataclass(slots=True)
class LeftOut:
    """Kept as hashes of the paths, as several patterns may meet the same."""

    files: set[int] = field(default_factory=set)
    folders: set[int] = field(default_factory=set)  # of runs as a whole, such as an answer's
    read: set[int] = field(default_factory=set)  # by manifests: they themselves, lists, keys

    @property
    def number(self) -> int:
        return len(self.files) + len(self.folders) + len(self.read)

    def told(self) -> str | None:
        """One line for all; None where nothing was left out."""
        written = [counted(len(some), word) for some, word in ((self.files, "file"), (self.folders, "folder")) if some]
        told = [f"{' and '.join(written)} that runs wrote"] if written else []
        if self.read:
            told.append(counted(len(self.read), "manifest, list or key", "manifests, lists and keys"))
        if not told:
            return None
        if self.number == 1:
            return f"{told[0]} is no source: patterns pass over it"
        return f"{' and '.join(told)} are no sources: patterns pass over them"
