"""The libraries that arrays live in: numpy on the processor, torch on a graphics card."""

from typing import Any

import numpy as np

from ... import UserError


def library(device: str) -> Any:
    """Return numpy for ``cpu``, and torch for any other device, such as ``cuda`` or ``torch:cpu``."""
    if device == "cpu":
        return np
    import torch

    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"device={device}: torch finds no graphics card, so use device=cpu.")
    return torch


def put(array: Any, device: str, precision: str | None = None) -> Any:
    """Return an array on a device, its numbers as ``float32`` or ``float64`` where a precision is given."""
    array = np.ascontiguousarray(array, dtype=precision)
    if device == "cpu":
        return array
    import torch

    return torch.from_numpy(array).to(device.removeprefix("torch:"))


def take_back(array: Any) -> np.ndarray[Any, Any]:
    """Return a numpy array of what lies on any device."""
    return array if isinstance(array, np.ndarray) else array.cpu().numpy()


def zeros(like: Any, shape: tuple[int, ...]) -> Any:
    """Return zeros of an array's library, device and precision."""
    return np.zeros(shape, dtype=like.dtype) if isinstance(like, np.ndarray) else like.new_zeros(shape)
