"""What data sets there are: the entries of ``catalogue.yaml``."""

from dataclasses import dataclass
from pathlib import Path

from .. import UserError
from ..configs.option import nearest

CATALOGUE = Path(__file__).with_name("catalogue.yaml")


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """One file of a data set; ``bytes`` and the checksums are None where its source does not state them."""

    name: str
    url: str
    sha256: str | None = None
    md5: str | None = None
    bytes: int | None = None

    @property
    def checksum(self) -> str | None:
        """The strongest known checksum, with its algorithm before a colon."""
        if self.sha256:
            return f"sha256:{self.sha256}"
        return f"md5:{self.md5}" if self.md5 else None


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A named set of files under one licence."""

    name: str
    title: str
    licence: str
    citation: str
    homepage: str
    files: tuple[DataFile, ...]

    @property
    def size(self) -> str:
        """The bytes of all files in a suitable unit, ``unknown`` unless all are stated."""
        sizes = [file.bytes for file in self.files]
        return "unknown" if None in sizes else size_text(sum(size for size in sizes if size is not None))


def read_catalogue() -> dict[str, DataSet]:
    """Return all data sets by name, in the catalogue's order."""
    import yaml

    entries = yaml.safe_load(CATALOGUE.read_text(encoding="utf-8"))
    catalogue = {}
    for name, entry in entries.items():
        files = tuple(DataFile(name=file, **facts) for file, facts in entry.pop("files").items())
        catalogue[name] = DataSet(name=name, files=files, **entry)
    return catalogue


def data_set(name: str) -> DataSet:
    """Return a data set by name; a name that is not in the catalogue is a :class:`UserError`."""
    catalogue = read_catalogue()
    if name not in catalogue:
        raise UserError(f"There is no data set '{name}': {nearest(name, catalogue)}")
    return catalogue[name]


def size_text(count: int) -> str:
    """Write a number of bytes with three digits, such as ``1.23 MB`` (1 kB is 1000 bytes)."""
    amount, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while amount >= 999.5 and len(units) > 1:
        amount /= 1000
        units.pop(0)
    return f"{amount:.3g} {units[0]}"
