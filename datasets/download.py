"""Find, download and remove the files of data sets.

A data set is a folder of the cache, ``$BIOPPO_CACHE/data/<name>``. A file there is complete: it was renamed from
``<file>.part`` after its checksum had been compared.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

from .. import UserError
from ..configs.option import nearest
from .cache import TRAINED_MODELS, cache_directory
from .catalogue import DataFile, DataSet, data_set, read_catalogue
from .progress import Progress, SilentProgress
from .transfer import ContinuingDownloader, SourceError

MIRROR = "BIOPPO_DATA_MIRROR"
RECORDED = "SHA256SUMS"
"""Checksums of the files whose source states none, taken when they were first downloaded, as sha256sum writes them."""


def find(name: str) -> Path:
    """Return the folder of a data set that is complete by name and size of its files; reads no file and no network."""
    folder = folder_of(name)
    if lacking := missing(name):
        raise UserError(f"{name} lacks {', '.join(lacking)} in {folder}: run bioppo data get {name}.")
    return folder


def missing(name: str) -> list[str]:
    """Return the names of a data set's files that are not there with their size."""
    folder = folder_of(name)
    return [file.name for file in data_set(name).files if not is_there(folder, file)]


def get(name: str, *, progress: Progress | None = None) -> Path:
    """Download what is missing or damaged and return the folder; the licence is the caller's to show.

    Files come from the catalogue's addresses, or from ``$BIOPPO_DATA_MIRROR/<name>/<file>``. Files that are there are
    read to compare their checksums. A second process waits until the first is done.
    """
    wanted, folder = data_set(name), folder_of(name)
    with changing(folder):
        for file in wanted.files:
            get_file(wanted, file, folder, progress or SilentProgress())
    return folder


def clear(name: str | None = None) -> dict[str, int]:
    """Remove one data set, or all in the cache, and return the bytes that each one took."""
    room = data_directory()
    present = sorted(path.name for path in room.iterdir() if path.is_dir()) if room.is_dir() else []
    if name is not None and name not in present:
        known = read_catalogue()
        if name not in known:
            raise UserError(f"There is no data set '{name}': {nearest(name, {*present, *known})}")
        return {}
    removed = {}
    for each in present if name is None else [name]:
        folder = room / each
        with writing(folder):
            removed[each] = remove(folder)
    return removed


def clear_models() -> dict[str, int]:
    """Remove all models that were trained on data sets and kept, and return the bytes they took."""
    folder = data_directory().parent / TRAINED_MODELS
    if not folder.is_dir():
        return {}
    with writing(folder):
        return {TRAINED_MODELS: remove(folder)}


def remove(folder: Path) -> int:
    """Remove a folder, or the link to one, and return the bytes of its files."""
    if folder.is_symlink():
        folder.unlink()
        return 0
    size = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
    shutil.rmtree(folder)
    return size


def data_directory() -> Path:
    """Return the cache's folder of data sets, which need not exist."""
    cache = cache_directory()
    if cache is None:
        raise UserError("There is no home directory to keep data in: set BIOPPO_CACHE to a folder.")
    return cache / "data"


def folder_of(name: str) -> Path:
    """Return where a data set of the catalogue is, or would be."""
    return data_directory() / data_set(name).name


def is_there(folder: Path, file: DataFile) -> bool:
    """Return whether a file is present with its size."""
    path = folder / file.name
    return path.is_file() and file.bytes in (None, path.stat().st_size)


def get_file(wanted: DataSet, file: DataFile, folder: Path, progress: Progress) -> None:
    """Download one file unless it is there with the right checksum."""
    import pooch

    pooch.get_logger().setLevel("ERROR")
    url, partial = address(wanted, file), folder / f"{file.name}.part"
    checksum = file.checksum or recorded_checksums(folder).get(file.name)
    if checksum is None:
        # Nothing would tell two versions joined by mistake.
        partial.unlink(missing_ok=True)
    downloader = ContinuingDownloader(f"{wanted.name}/{file.name}", partial, file.bytes, progress)
    try:
        pooch.retrieve(url, checksum, fname=file.name, path=folder, downloader=downloader)
    except SourceError as error:
        raise UserError(
            f"Cannot download {url} ({error}): run bioppo data get {wanted.name} again to continue, set {MIRROR} to "
            f"the file:// or https:// address of a copy, or download {file.url} yourself into {folder}."
        ) from error
    except ValueError as error:  # pooch's, which names both checksums and has removed the file
        raise UserError(
            f"{url} is not the file that was expected ({str(error).partition('. ')[0]}): it was removed; run "
            f"bioppo data get {wanted.name} again, and if that does not help, look at {wanted.homepage}."
        ) from error
    if checksum is None:
        record_checksum(folder, file.name)


def address(wanted: DataSet, file: DataFile) -> str:
    """Return where a file comes from: the mirror if the user named one, else the catalogue's address."""
    mirror = os.environ.get(MIRROR)
    if not mirror:
        return file.url
    if urlsplit(mirror).scheme not in ("file", "http", "https"):
        raise UserError(f"{MIRROR}={mirror} is not an address: write file:///FOLDER or https://SERVER/FOLDER.")
    return f"{mirror.rstrip('/')}/{quote(wanted.name)}/{quote(file.name)}"


def recorded_checksums(folder: Path) -> dict[str, str]:
    """Return what `record_checksum` wrote, by file name."""
    path = folder / RECORDED
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {name: f"sha256:{digest}" for digest, _, name in (line.partition("  ") for line in lines)}


def record_checksum(folder: Path, name: str) -> None:
    """Note the SHA-256 of a file, so that damage is seen later."""
    import pooch

    with (folder / RECORDED).open("a", encoding="utf-8") as file:
        file.write(f"{pooch.file_hash(str(folder / name))}  {name}\n")


@contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Make a folder and keep other processes from changing it."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn the system's refusal to change files into a sentence."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"Cannot change {error.filename or folder} ({error.strerror or error}): give space or permission there, "
            "or set BIOPPO_CACHE to another folder, then run the same command again."
        ) from error
