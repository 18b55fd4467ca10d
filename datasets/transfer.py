"""Transfers that continue: from file:// and http(s):// addresses, after whatever an earlier attempt left."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from .progress import Progress

if TYPE_CHECKING:
    from requests import RequestException, Response

CHUNK_BYTES = 1 << 18
TIMEOUT_SECONDS = 30.0
PARTIAL_CONTENT = 206
RANGE_NOT_SATISFIABLE = 416


class SourceError(Exception):
    """An address gives no bytes, too few, or others than expected; the message is a short reason."""


@dataclass(frozen=True)
class ContinuingDownloader:
    """Downloads one file for :func:`pooch.retrieve`, going on where ``partial`` ends.

    ``size`` is the whole file's number of bytes if it is known. What an interrupted transfer brought stays in
    ``partial``; a complete one is renamed to the file that pooch asks for.
    """

    title: str
    partial: Path
    size: int | None
    progress: Progress

    def __call__(self, url: str, output_file: str, _pooch: object) -> None:
        """Bring ``output_file`` about, or raise :class:`SourceError`."""
        # pooch makes it empty; it would stay behind if this process were killed.
        Path(output_file).unlink()
        done = self.partial.stat().st_size if self.partial.exists() else 0
        if self.size is None or done != self.size:
            self.append(url, done if self.size is None or done < self.size else 0)
        os.replace(self.partial, output_file)

    def append(self, url: str, done: int) -> None:
        """Add what follows the first ``done`` bytes; begin anew if the server cannot continue."""
        with open_source(url, done) as (start, chunks), self.partial.open("ab") as file:
            file.truncate(start)
            self.progress.begin(self.title, start, self.size)
            for chunk in chunks:
                file.write(chunk)
                self.progress.advance(len(chunk))
        count = self.partial.stat().st_size
        if self.size is not None and count != self.size:
            self.partial.unlink()
            raise SourceError(f"the file there has {count:,} bytes instead of {self.size:,}")


def open_source(url: str, offset: int) -> AbstractContextManager[tuple[int, Iterator[bytes]]]:
    """Open an address; the context gives the position where its bytes begin, ``offset`` or 0, and the bytes."""
    return open_local(url, offset) if urlsplit(url).scheme == "file" else open_remote(url, offset)


@contextmanager
def open_local(url: str, offset: int) -> Iterator[tuple[int, Iterator[bytes]]]:
    """Open a file:// address."""
    try:
        file = open(url2pathname(urlsplit(url).path), "rb")  # noqa: SIM115
    except OSError as error:
        raise SourceError(error.strerror or str(error)) from error
    with file:
        file.seek(offset)
        yield offset, iter(partial(file.read, CHUNK_BYTES), b"")


@contextmanager
def open_remote(url: str, offset: int) -> Iterator[tuple[int, Iterator[bytes]]]:
    """Open an http(s):// address, asking for the bytes from ``offset`` on."""
    with request(url, offset) as response:
        expected = response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")
        if offset and continues_elsewhere(response.status_code, expected=expected):
            response.close()
            with open_remote(url, 0) as source:
                yield source
            return
        if not response.ok:
            raise SourceError(f"the server answers {response.status_code} {response.reason}")
        start = offset if response.status_code == PARTIAL_CONTENT else 0
        yield start, remote_chunks(response)


def continues_elsewhere(status: int, *, expected: bool) -> bool:
    """Return whether a server refused our position, or answered another one."""
    return status == RANGE_NOT_SATISFIABLE or (status == PARTIAL_CONTENT and not expected)


def request(url: str, offset: int) -> "Response":
    """Send the request; compression is declined, because positions count the bytes that are sent."""
    import requests

    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})
    try:
        return requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS)
    except requests.RequestException as error:
        raise SourceError(reason(error, url)) from error


def remote_chunks(response: "Response") -> Iterator[bytes]:
    """Yield the body; one that ends early is an error."""
    import requests

    try:
        yield from response.iter_content(CHUNK_BYTES)
    except requests.RequestException as error:
        raise SourceError("the connection broke before the end of the file") from error


def reason(error: "RequestException", url: str) -> str:
    """Say in a few words why there is no answer."""
    import requests

    host = urlsplit(url).hostname
    for kind, words in {
        requests.exceptions.SSLError: f"the certificate of {host} is not accepted",
        requests.exceptions.ProxyError: "the proxy does not answer",
        requests.Timeout: f"{host} does not answer within {TIMEOUT_SECONDS:g} s",
        requests.ConnectionError: f"there is no connection to {host}",
    }.items():
        if isinstance(error, kind):
            return words
    return str(error)
