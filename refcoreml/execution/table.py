"""What the names of a dialect mean, each from a version on: `Table`."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["Table"]

Entry = TypeVar("Entry")


class Table(dict[str, Entry]):
    """What names mean: as a dictionary, in the newest version; `find` knows the older ones.

    Args:
        what: what a name stands for, such as "layer", for errors.
    """

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what
        self._versions: dict[str, list[tuple[int, Entry]]] = {}

    def check_new(self, name: str, since: int = 0) -> None:
        """Refuse a name that has an entry for a version already."""
        if any(version == since for version, _ in self._versions.get(name, ())):
            version = f" from version {since} on" if since else ""
            raise ValueError(f"{self._what} {name!r} is registered twice{version}")

    def add(self, name: str, entry: Entry, since: int = 0) -> None:
        """Register what a name means from a version on; a second entry for the same version is a `ValueError`."""
        self.check_new(name, since)
        versions = self._versions.setdefault(name, [])
        versions.append((since, entry))
        versions.sort(key=lambda item: -item[0])
        self[name] = versions[0][1]

    def versions(self, name: str) -> list[tuple[int, Entry]]:
        """Return what a name means, with the version from which on it does, newest first."""
        return list(self._versions.get(name, ()))

    def find(self, name: str, version: int) -> Entry | None:
        """Return the newest entry of a name that is not newer than a version; None if there is none."""
        return next((entry for since, entry in self._versions.get(name, ()) if since <= version), None)
