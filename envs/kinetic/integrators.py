"""Stiff integrators of the reduced equations of motion: SciPy's for one state, a Rosenbrock method for many at once.

Both take `Dynamics`, starts ``z`` as ``(n_independent, n_copies)`` and the time at which every copy ends, in hours, and
return the last ``z`` that was reached with an `Arrival` for every copy.
"""

import time
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

import numpy as np

from .network import FloatArray, IntArray
from .nonlinear import Dynamics


class Arrival(IntEnum):
    """How an integration ended."""

    FINISHED = 0
    """It reached its end time."""
    NOT_POSITIVE = 1
    """A concentration became zero or negative, however short the step."""
    NOT_FINITE = 2
    """A number became infinite or undefined, or no step was short enough."""
    TIMED_OUT = 3
    """It took too long."""


TIME_OUT = 20.0
"""Seconds that SciPy's integrators may spend on one start."""
MOST_STEPS = 2_000
"""Steps that the Rosenbrock method may take; a count, so that results do not depend on the machine."""
SHORTEST_STEP = 1e-20
"""Of the whole time; a copy whose steps fail down to here is stuck."""


def integrate_each(
    dynamics: Dynamics,
    start: FloatArray,
    end_time: FloatArray,
    *,
    method: str = "BDF",
    relative_tolerance: float = 1e-6,
    absolute_tolerance: float = 1e-9,
    time_out: float = TIME_OUT,
) -> tuple[FloatArray, IntArray]:
    """Integrate one copy after the other with SciPy's ``BDF`` or ``Radau``; ``time_out`` is in seconds for each."""
    ends, arrivals = np.array(start), np.full(len(end_time), Arrival.FINISHED, dtype=np.intp)
    for copy, until in enumerate(end_time):
        one = dynamics.select(np.array([copy]))
        solver = _scipy_solver(one, start[:, copy], until, method, relative_tolerance, absolute_tolerance)
        deadline = time.perf_counter() + time_out
        while solver.status == "running" and arrivals[copy] == Arrival.FINISHED:
            _step(solver)
            if time.perf_counter() > deadline and solver.status == "running":
                arrivals[copy] = Arrival.TIMED_OUT
        ends[:, copy] = solver.y
        if solver.status == "failed":
            arrivals[copy] = _reason(one, solver.y[:, None])[0]
    return ends, arrivals


def trajectory(dynamics: Dynamics, start: FloatArray, times: FloatArray, *, method: str = "BDF") -> FloatArray:
    """Return ``x / x*`` of one copy's variable species at ascending times in hours, ``(n_times, n_variables)``.

    Rows that the integration does not reach are NaN.
    """
    result = np.full((len(times), len(dynamics.model.species)), np.nan)
    result[times == 0] = dynamics.concentration_ratio(start)[:, 0]
    for before, now, interpolate in _scipy_steps(dynamics, start, float(times[-1]), method):
        inside = np.flatnonzero((times > before) & (times <= now))
        if len(inside):
            result[inside] = (
                dynamics.select(np.zeros(len(inside), dtype=np.intp)).concentration_ratio(interpolate(times[inside])).T
            )
    return result


def integrate_together(
    dynamics: Dynamics,
    start: FloatArray,
    end_time: FloatArray,
    *,
    relative_tolerance: float = 1e-3,
    absolute_tolerance: float = 1e-4,
    most_steps: int = MOST_STEPS,
) -> tuple[FloatArray, IntArray]:
    """Integrate all copies at once with the Rosenbrock method RODAS, every copy with steps of its own.

    RODAS has order 4 and is stiffly accurate and L-stable; it evaluates one Jacobian and no Newton iterations for each
    step (Hairer and Wanner 1996, section IV.7). One inverse for each copy and step serves its six stages.
    """
    ends, arrivals = np.array(start), np.full(len(end_time), Arrival.TIMED_OUT, dtype=np.intp)
    active = np.arange(len(end_time))
    current, z = dynamics, np.array(start)
    reached = np.zeros(len(end_time))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        step = np.fmin(end_time, 0.01 / np.abs(current.right_hand_side(z)).max(axis=0))
    for _ in range(most_steps):
        if not len(active):
            break
        until = end_time[active]
        step = np.minimum(step, until - reached)
        moved, change = _rosenbrock_step(current, z, step)
        scale = absolute_tolerance + relative_tolerance * np.maximum(np.abs(z), np.abs(moved))
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            error = np.nan_to_num(np.abs(change) / scale, nan=np.inf).max(axis=0)
            factor = np.clip(0.9 * error**-0.25, 0.2, 5.0)
        accepted = error <= 1.0
        z = np.where(accepted, moved, z)
        reached = np.where(accepted, reached + step, reached)
        step = step * factor
        finished = accepted & (reached >= until * (1.0 - 1e-12))
        stuck = ~accepted & ((step < SHORTEST_STEP * until) | (reached + step == reached))
        arrivals[active[finished]] = Arrival.FINISHED
        if stuck.any():
            arrivals[active[stuck]] = _reason(current.select(np.flatnonzero(stuck)), z[:, stuck])
        leaving = finished | stuck
        ends[:, active] = z
        if leaving.any():
            left = np.flatnonzero(~leaving)
            active, z, reached, step = active[left], z[:, left], reached[left], step[left]
            current = current.select(left)
    return ends, arrivals


GAMMA = 0.25
STAGES = (
    ((), ()),
    ((1.544,), (-5.6688,)),
    ((0.9466785280815826, 0.2557011698983284), (-2.430093356833875, -0.2063599157091915)),
    (
        (3.314825187068521, 2.896124015972201, 0.9986419139977817),
        (-0.1073529058151375, -9.594562251023355, -20.47028614809616),
    ),
    (
        (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950),
        (7.496443313967647, -10.24680431464352, -33.99990352819905, 11.70890893206160),
    ),
    (
        (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950, 1.0),
        (8.083246795921522, -7.981132988064893, -31.52159432874371, 16.31930543123136, -6.058818238834054),
    ),
)
"""RODAS: weights of the earlier stages in a stage's argument, and in its right-hand side over the step."""


def _rosenbrock_step(dynamics: Dynamics, z: FloatArray, step: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the next z and the difference from the embedded solution of order 3; NaN where a stage is not defined."""
    jacobian = dynamics.jacobian(z)
    jacobian *= -1.0
    size = len(z)
    jacobian.reshape(len(step), -1)[:, :: size + 1] += (1.0 / (GAMMA * step))[:, None]
    inverse = _inverse(jacobian)
    stages: list[FloatArray] = []
    argument = z
    for weights, corrections in STAGES:
        argument = z + sum(weight * stage for weight, stage in zip(weights, stages, strict=True))
        side = dynamics.right_hand_side(argument)
        side = side + sum(weight * stage for weight, stage in zip(corrections, stages, strict=True)) / step
        stages.append(np.matmul(inverse, side.T[:, :, None])[:, :, 0].T)
    return argument + stages[-1], stages[-1]


def _inverse(matrices: FloatArray) -> FloatArray:
    """Return the inverse of every matrix; NaN for a singular one, which makes NumPy refuse the whole stack."""
    try:
        return np.linalg.inv(matrices).astype(np.float64, copy=False)
    except np.linalg.LinAlgError:
        if len(matrices) == 1:
            return np.full_like(matrices, np.nan)
        return np.concatenate([_inverse(matrices[index : index + 1]) for index in range(len(matrices))])


def _reason(dynamics: Dynamics, z: FloatArray) -> IntArray:
    """Return why copies that are stuck at z could not go on: a species close to zero, or another reason."""
    vanishing = dynamics.concentration_ratio(z).min(axis=0) < 1e-6
    return np.where(vanishing, Arrival.NOT_POSITIVE, Arrival.NOT_FINITE)


def _scipy_solver(
    dynamics: Dynamics, start: FloatArray, until: float, method: str, relative: float, absolute: float
) -> Any:
    from scipy.integrate import BDF, Radau

    return {"BDF": BDF, "Radau": Radau}[method](
        lambda _, z: dynamics.right_hand_side(z[:, None])[:, 0],
        0.0,
        start,
        until,
        rtol=relative,
        atol=absolute,
        jac=lambda _, z: dynamics.jacobian(z[:, None])[0],
    )


def _step(solver: Any) -> None:
    """Take one step; an undefined Jacobian, at which SciPy's factorisation raises, counts as a failed step."""
    try:
        solver.step()
    except ValueError:
        solver.status = "failed"


def _scipy_steps(
    dynamics: Dynamics, start: FloatArray, until: float, method: str
) -> Iterator[tuple[float, float, Any]]:
    """Yield beginning, end and interpolant of every step."""
    solver = _scipy_solver(dynamics, start[:, 0], until, method, 1e-6, 1e-9)
    while solver.status == "running":
        before = solver.t
        _step(solver)
        if solver.status != "failed":
            yield before, solver.t, solver.dense_output()
