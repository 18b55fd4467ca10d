"""Small results kept between runs as JSON files; a broken or foreign file is as good as none."""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...datasets.cache import cache_directory


def read_entry(name: str, key: Mapping[str, Any]) -> Any | None:
    """Return the content stored under a name and a key of JSON values, or None."""
    path = _path(name, key)
    if path is None:
        return None
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        return entry["content"] if entry["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_entry(name: str, key: Mapping[str, Any], content: Any) -> None:
    """Store JSON values; a directory that cannot be written costs the next run time and is no error here."""
    path = _path(name, key)
    if path is None:
        return
    text = json.dumps({"key": key, "content": content}, allow_nan=False)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_atomically(path, text)


def _write_atomically(path: Path, text: str) -> None:
    """Write beside the file and rename, so that a reader never sees half of it."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _path(name: str, key: Mapping[str, Any]) -> Path | None:
    directory = cache_directory()
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return None if directory is None else directory / "kinetic" / f"{name}-{digest[:16]}.json"
