"""How much the length of a step matters for a case."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .options import load_options, plain_case
from .simulation import build_community, joint_schedule

if TYPE_CHECKING:
    import pandas as pd

FACTORS = (4.0, 2.0, 1.0, 0.5, 0.25)
"""Lengths of a step that are compared, as multiples of the case's."""


def check_convergence(
    case: Any,
    actions: Mapping[str, Any] | None = None,
    *,
    factors: Sequence[float] = FACTORS,
    tolerance: float = 0.01,
    show: bool = True,
    **options: Any,
) -> "pd.DataFrame":
    """Run a case with several lengths of a step, compare the ends, and recommend one.

    Errors are relative to an extrapolation from the two shortest steps (Richardson, first order), for columns whose end
    is above 0.001 of the largest value in any run.

    Parameters
    ----------
    actions
        Bounds by agent, held for all time.
    factors
        Multiples of ``dt_h``, in falling order; lengths that do not divide the time of an episode are left out.
    tolerance
        Largest accepted relative error of the end state.
    show
        Print the table and the recommendation.

    Returns
    -------
    DataFrame
        Columns ``dt_h``, the end of every agent and species, ``error``, and ``recommended``, true for the longest step
        within the tolerance.
    """
    import pandas as pd

    base = plain_case(load_options(case))
    hours = base["dt_h"] * base["horizon_steps"]
    rows: list[tuple[float, Any]] = []
    names: tuple[str, ...] = ()
    for factor in sorted(factors, reverse=True):
        dt = base["dt_h"] * factor
        steps = round(hours / dt)
        if steps < 1 or abs(steps * dt - hours) > 1e-9 * hours:
            continue
        community, _ = build_community({**base, "dt_h": dt, "horizon_steps": steps}, options)
        joint = joint_schedule(community, actions, steps)
        state = community.new_state(1)
        for step in range(steps):
            community.step(state, joint[step : step + 1])
        names = community.case.names
        rows.append((dt, np.maximum(state["concentration"][0], 0.0)))
    ends = np.array([end for _, end in rows])
    lengths = np.array([dt for dt, _ in rows])
    ratio = lengths[-2] / lengths[-1] if len(rows) > 1 else 2.0
    limit = ends[-1] + (ends[-1] - ends[-2]) / (ratio - 1) if len(rows) > 1 else ends[-1]
    counted = np.abs(limit) > 1e-3 * np.abs(ends).max()
    error = (np.abs(ends - limit) / np.maximum(np.abs(limit), 1e-300))[:, counted].max(axis=1)
    table = pd.DataFrame(ends, columns=list(names))
    table.insert(0, "dt_h", lengths)
    table["error"] = error
    within = np.flatnonzero(error <= tolerance)
    chosen = int(within[0]) if len(within) else len(rows) - 1
    table["recommended"] = np.arange(len(rows)) == chosen
    if show:
        print(table.to_string(index=False))
        words = "" if len(within) else f" or less; none of these is within {tolerance:g}"
        print(f"Use dt_h={lengths[chosen]:g}{words}.")
    return table
