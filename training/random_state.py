"""Random numbers of a run: seeds by purpose, and the global states that stable-baselines3 draws from."""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

PURPOSES = ("environment", "learner", "validation", "test", "global")


def seed_for(seed: int, purpose: str) -> int:
    """Derive an independent 32-bit seed for one purpose of a run."""
    sequence = np.random.SeedSequence(seed, spawn_key=(PURPOSES.index(purpose),))
    return int(sequence.generate_state(1)[0])


def seed_global_states(seed: int) -> None:
    """Seed Python's, NumPy's and torch's global generators."""
    value = seed_for(seed, "global")
    random.seed(value)
    np.random.seed(value)  # noqa: NPY002  # stable-baselines3 draws from it
    torch.manual_seed(value)


def global_states() -> dict[str, Any]:
    """Return the global states as plain containers and tensors."""
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002
    version, internal, gauss = random.getstate()
    states = {
        "numpy": [name, np.asarray(keys).tolist(), position, has_gauss, cached],
        "python": json.dumps([version, list(internal), gauss]),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state_all()
    return states


def set_global_states(states: dict[str, Any]) -> None:
    """Return to what `global_states` gave."""
    name, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), position, has_gauss, cached))  # noqa: NPY002
    version, internal, gauss = json.loads(states["python"])
    random.setstate((version, tuple(internal), gauss))
    torch.set_rng_state(states["torch"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])


@contextmanager
def preserved_random_state() -> Iterator[None]:
    """Leave the global states afterwards as they were before, whatever is drawn inside."""
    states = global_states()
    try:
        yield
    finally:
        set_global_states(states)
