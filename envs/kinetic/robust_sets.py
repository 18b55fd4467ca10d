"""Robustness inside the environment: as part of a reward, and as a measure of what agents hand over."""

from typing import TYPE_CHECKING

import numpy as np

from ..trajectories import Trajectories
from .handover import last_steps
from .network import FloatArray, IntArray
from .robustness import Outcome, outcomes, perturbed_starts, validation_table
from .task import KineticTask

if TYPE_CHECKING:
    import pandas as pd

DISPLACEMENTS = (0.1, 0.25, 0.5)
MEASURED_STARTS = 10
HEADLINE_DISPLACEMENT = 0.25


def returning_shares(
    task: KineticTask,
    ln_km: FloatArray,
    member: IntArray,
    lambda_max: FloatArray,
    seeds: IntArray,
    *,
    displacement: float,
    starts: int,
    workers: int = 1,
) -> FloatArray:
    """Return the share of displaced starts that return, each set with starts of its own, ``(n,)``.

    Parameters
    ----------
    task
        With nonlinear models.
    ln_km, member, lambda_max
        Sets ``(n, n_parameters)``, their steady states and largest eigenvalues, which are negative, ``(n,)``.
    seeds
        Where each set's starts are drawn from, ``(n,)``.
    displacement, starts, workers
        As in `robustness`.
    """
    shares = np.zeros(len(ln_km))
    for state in np.unique(member):
        rows = np.flatnonzero(member == state)
        model = task.nonlinear[int(state)]
        drawn = [
            perturbed_starts(model, displacement, starts, np.random.default_rng(int(seed))) for seed in seeds[rows]
        ]
        copies = np.repeat(rows, starts)
        ended = outcomes(model, ln_km[copies], np.concatenate(drawn, axis=1), lambda_max[copies], workers=workers)
        shares[rows] = (ended == Outcome.RETURNED).reshape(len(rows), starts).mean(axis=1)
    return shares


def validate_sets(task: KineticTask, trajectories: Trajectories, n_sets: int, *, workers: int = 1) -> "pd.DataFrame":
    """Return the validation table of the first valid single-shot sets, up to a number; see `validation_table`."""
    import pandas as pd

    last = last_steps(trajectories)
    chosen = last[trajectories.info["valid"][last]][:n_sets]
    member = trajectories.info["member"][chosen]
    tables = [
        validation_table(
            task.nonlinear[int(state)],
            trajectories.info["ln_km"][chosen[member == state]],
            displacements=DISPLACEMENTS,
            starts=MEASURED_STARTS,
            workers=workers,
        ).assign(member=int(state))
        for state in np.unique(member)
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame({"displacement": [], "robustness": []})


def robustness_score(table: "pd.DataFrame") -> float:
    """Return the mean share of starts that return at a displacement of 25 %; 0 without a valid set."""
    shares = table.loc[table["displacement"] == HEADLINE_DISPLACEMENT, "robustness"]
    return float(shares.mean()) if len(shares) else 0.0
