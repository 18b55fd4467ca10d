"""Eleven genes of myeloid differentiation as equations, after Krumsiek et al. 2011 (doi:10.1371/journal.pone.0022649).

The Boolean rules become continuous by multiplying for *and*, by ``1 - prod(1 - x)`` for *or* and by ``1 - x`` for
*not*, all on the switched-on share h(x) of each gene's level x in [0, 1].
"""

from collections.abc import Callable
from itertools import product

import numpy as np

from .data import FloatArray, IntArray

GENES = ("Gata2", "Gata1", "Fog1", "EKLF", "Fli1", "SCL", "Cebpa", "Pu.1", "cJun", "EgrNab", "Gfi1")

FIXED_POINTS = {
    "EgrNab without Cebpa": ("Pu.1", "cJun", "EgrNab"),
    "erythrocyte": ("Gata1", "Fog1", "EKLF", "SCL"),
    "granulocyte": ("Cebpa", "Pu.1", "Gfi1"),
    "megakaryocyte": ("Gata1", "Fog1", "Fli1", "SCL"),
    "monocyte": ("Cebpa", "Pu.1", "cJun", "EgrNab"),
    "none": (),
}
"""The genes that are on in each steady state of the Boolean rules, in the order of their names."""

TYPES = tuple(FIXED_POINTS)

TIME_STEP = 0.05
"""Of Euler's method; one unit of time is a gene's lifetime."""

CLAMPED_TIME = 10.0
"""How long an action holds its gene."""

FREE_TIME = 30.0
"""How long all genes are left to themselves afterwards."""

STEPS_CLAMPED = round(CLAMPED_TIME / TIME_STEP)
STEPS_OF_ACTION = round((CLAMPED_TIME + FREE_TIME) / TIME_STEP)

Noise = Callable[[int], FloatArray]
"""Standard normal numbers (11, n) for a step of Euler's method, counted from 0."""


def switch(level: FloatArray) -> FloatArray:
    """Return h = 1.0625 x^4 / (x^4 + 0.0625): 0 at 0, about a half at 0.5, and 1 at 1."""
    fourth = np.square(np.square(level))
    switched: FloatArray = 1.0625 * fourth / (fourth + 0.0625)
    return switched


def regulate(on: FloatArray) -> FloatArray:
    """Return what the rules make of switched-on shares (11, n); of zeros and ones, the Boolean rules themselves."""
    gata2, gata1, fog1, eklf, fli1, scl, cebpa, pu1, cjun, egrnab, gfi1 = on
    no_pu1, no_gfi1 = 1 - pu1, 1 - gfi1
    made = np.empty_like(on)
    made[0] = gata2 * (1 - gata1 * fog1) * no_pu1
    made[1] = (1 - (1 - gata1) * (1 - gata2) * (1 - fli1)) * no_pu1
    made[2] = gata1
    made[3] = gata1 * (1 - fli1)
    made[4] = gata1 * (1 - eklf)
    made[5] = gata1 * no_pu1
    made[6] = cebpa * (1 - gata1 * fog1 * scl)
    made[7] = (1 - (1 - cebpa) * no_pu1) * (1 - gata1) * (1 - gata2)
    made[8] = pu1 * no_gfi1
    made[9] = pu1 * cjun * no_gfi1
    made[10] = cebpa * (1 - egrnab)
    return made


def production(level: FloatArray) -> FloatArray:
    """Return how much of each gene is made at levels (n, 11), per unit of time."""
    return regulate(switch(level.T)).T


def fixed_points() -> list[tuple[str, ...]]:
    """Return the genes that are on in every steady state of the Boolean rules, found among all 2048 states."""
    states = np.array(list(product((0.0, 1.0), repeat=len(GENES))))
    steady = states[(regulate(states.T) == states.T).all(axis=0)]
    return [tuple(np.array(GENES)[state == 1].tolist()) for state in steady]


def corners() -> FloatArray:
    """Return the levels of the steady states `FIXED_POINTS`, (6, 11), which are steady in the equations too."""
    return np.array([[float(gene in on) for gene in GENES] for on in FIXED_POINTS.values()])


def nearest_type(level: FloatArray) -> IntArray:
    """Return the position in `TYPES` of the steady state nearest to levels (n, 11)."""
    distance = np.square(level[:, None, :] - corners()).sum(axis=2)
    found: IntArray = distance.argmin(axis=1)
    return found


def integrate(
    level: FloatArray,
    steps: int,
    *,
    held: FloatArray | None = None,
    held_steps: int | None = None,
    sigma: float = 0.0,
    noise: Noise | None = None,
) -> FloatArray:
    """Return levels (n, 11) after ``steps`` of Euler's method, kept within [0, 1].

    Parameters
    ----------
    level
        (n, 11).
    held
        (n, 11) the levels of genes that are held, from the beginning and after every step; NaN in those that are free.
    held_steps
        How many steps they are held for; None: all.
    sigma, noise
        Deviation of the levels' noise per root of time, and what draws it.
    """
    now = np.array(level.T, dtype=np.float64, order="C")
    held = np.full(level.shape, np.nan) if held is None else held
    clamped = np.nonzero(~np.isnan(held.T))
    values = held.T[clamped]
    now[clamped] = values
    spread = sigma * np.sqrt(TIME_STEP)
    for step in range(steps):
        now += TIME_STEP * (regulate(switch(now)) - now)
        if noise is not None and sigma > 0:
            now += spread * noise(step)
        np.clip(now, 0.0, 1.0, out=now)
        if held_steps is None or step < held_steps:
            now[clamped] = values
    return np.ascontiguousarray(now.T)


def perturb(level: FloatArray, actions: IntArray, *, sigma: float = 0.0, noise: Noise | None = None) -> FloatArray:
    """Return levels (n, 11) after actions (n,): 0..10 hold a gene at 0, 11..21 at 1, and then all are free."""
    held = np.full(level.shape, np.nan)
    held[np.arange(len(level)), actions % len(GENES)] = actions >= len(GENES)
    return integrate(level, STEPS_OF_ACTION, held=held, held_steps=STEPS_CLAMPED, sigma=sigma, noise=noise)


def outcome_shares(sigma: float, repeats: int, generator: np.random.Generator) -> FloatArray:
    """Return how often each action leads from each type to each, (6, 22, 6), over repeated simulations."""
    kinds, count = len(TYPES), 2 * len(GENES)
    start = np.repeat(np.arange(kinds), count * repeats)
    actions = np.tile(np.repeat(np.arange(count), repeats), kinds)
    shape = (len(GENES), len(start))
    reached = perturb(corners()[start], actions, sigma=sigma, noise=lambda _: generator.standard_normal(shape))
    seen = np.zeros((kinds, count, kinds))
    np.add.at(seen, (start, actions, nearest_type(reached)), 1.0)
    shares: FloatArray = seen / repeats
    return shares


def action_names() -> list[str]:
    """Return the names of the 22 actions, knock-outs first."""
    return [f"{kind} {gene}" for kind in ("KO", "OE") for gene in GENES]
