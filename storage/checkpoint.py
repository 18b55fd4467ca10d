"""Checkpoints: plain containers in torch's zip format, whose checksums are verified before anything is read.

Arrays are stored as tensors and come back as arrays; nothing in a file can execute code when it is read.
"""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import UserError
from .atomic_file import write_atomically

ARRAY = "__array__"


class CheckpointError(UserError):
    """A checkpoint is missing, half-written or damaged."""


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write the file aside and rename it, so that ``path`` is always absent, old or complete."""
    buffer = io.BytesIO()
    torch.save(_encode(content), buffer)
    write_atomically(path, buffer.getvalue())


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint, or raise `CheckpointError` if it is not exactly what was written."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise CheckpointError(f"{path} is damaged (checksum of {damaged}).")
        content: dict[str, Any] = _decode(torch.load(path, weights_only=True, map_location="cpu"))
    except CheckpointError:
        raise
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} does not exist.") from error
    except Exception as error:  # a broken zip fails in many ways; all mean the same to the caller
        raise CheckpointError(f"{path} is damaged or half-written ({type(error).__name__}).") from error
    return content


def _encode(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {ARRAY: torch.from_numpy(np.ascontiguousarray(value)).clone().reshape(value.shape)}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {key: _encode(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_encode(entry) for entry in value]
    if value is None or isinstance(value, torch.Tensor | str | bool | int | float):
        return value
    raise TypeError(f"a checkpoint holds arrays, tensors, numbers and strings, not {type(value).__name__}")


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {ARRAY}:
            return value[ARRAY].numpy()
        return {key: _decode(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_decode(entry) for entry in value]
    return value
