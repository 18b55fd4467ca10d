"""Valid sets as files: what an agent hands over to a modeller."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..trajectories import Trajectories
from .errors import KineticInputError
from .network import FloatArray
from .populations import write_population
from .sources.skimpy_writer import write_skimpy_model, write_skimpy_population
from .task import KineticTask

SUFFIXES = {"csv": ".csv", "npz": ".npz", "hdf5": ".h5"}
DEFAULT_UNIT = "uM"
"""Unit of SKiMpy files where the options name none."""


def write_valid_sets(
    task: KineticTask,
    trajectories: Trajectories,
    folder: Path,
    *,
    formats: Sequence[str],
    facts: Mapping[str, Any],
    concentration_unit: str,
) -> list[Path]:
    """Write the valid sets at the end of episodes, a group of files for every steady state that has some.

    ``csv``, ``npz`` and ``hdf5`` give ``sets.csv``, ``sets.npz`` and ``sets.h5``. ``skimpy`` gives ``model.yml``, with
    the first set in it, and ``model_sets.hdf5``, for SKiMpy's ``load_yaml_model`` and ``load_parameter_population``.

    Raises
    ------
    KineticInputError
        A format is unknown, or no set is valid.
    """
    for name in formats:
        if name not in (*SUFFIXES, "skimpy"):
            raise KineticInputError(f"--sets {name}: choose of {', '.join(SUFFIXES)}, skimpy.")
    last = last_steps(trajectories)
    chosen = last[trajectories.info["valid"][last]]
    if not len(chosen):
        raise KineticInputError(
            f"None of the {len(last)} sets at the end of the episodes is valid: train on, or give --episodes a larger "
            "number."
        )
    folder.mkdir(parents=True, exist_ok=True)
    member, ln_km = trajectories.info["member"][chosen], trajectories.info["ln_km"][chosen]
    lambda_max = trajectories.info["lambda_max"][chosen]
    several = len(task.states) > 1
    files: list[Path] = []
    for state in np.unique(member):
        rows = member == state
        place = folder / f"state_{state}" if several else folder
        place.mkdir(exist_ok=True)
        more = {"state": task.states[state].provenance, "lambda_part": float(task.lambda_part[state])}
        for name in formats:
            if name == "skimpy":
                files += _write_skimpy(task, int(state), ln_km[rows], place, concentration_unit)
                continue
            file = place / f"sets{SUFFIXES[name]}"
            write_population(
                file,
                names=task.network.parameter_names,
                ln_km=ln_km[rows],
                lambda_max=lambda_max[rows],
                metadata=dict(facts) | more,
            )
            files.append(file)
    return files


def last_steps(trajectories: Trajectories) -> np.ndarray:
    """Return the positions of the last step of every episode, ordered by episode."""
    order = np.lexsort((trajectories.step, trajectories.episode))
    episode = trajectories.episode[order]
    last: np.ndarray = order[np.append(episode[1:] != episode[:-1], True)]
    return last


def _write_skimpy(task: KineticTask, state: int, ln_km: FloatArray, folder: Path, unit: str) -> list[Path]:
    model, sets = folder / "model.yml", folder / "model_sets.hdf5"
    steady = task.states[state]
    write_skimpy_model(model, task.network, concentration_unit=unit, state=steady, ln_km=ln_km[0])
    write_skimpy_population(sets, task.network, steady, ln_km, concentration_unit=unit)
    return [model, sets]
