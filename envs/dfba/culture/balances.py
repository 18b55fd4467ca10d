"""Elements and charge in flux-balance models: whether fluxes make or lose any."""

import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..flux_model import FluxModel

FloatArray = NDArray[np.float64]

CHARGE = "charge"
ELEMENTS = ("C", "N", "P", CHARGE)


def created_elements(model: FluxModel, fluxes: FloatArray) -> dict[str, FloatArray]:
    """Return how much of each element reactions inside a model make out of nothing.

    Exchanges and growth move matter in and out by intention and do not count, nor do reactions with a metabolite whose
    formula is unknown.

    Parameters
    ----------
    fluxes
        ``(..., n_reactions)``, mmol/gDW/h.

    Returns
    -------
    dict
        By element (C, N, P, and charge where the model has charges), mmol/gDW/h, ``(...)``; empty without formulas.
    """
    if model.formulas is None:
        return {}
    contents = [composition(model.formulas.get(name)) for name in model.metabolites]
    known = np.array([content is not None for content in contents])
    inner = np.ones(len(model.reactions), dtype=bool)
    inner[[*model.exchanges.values(), model.objective]] = False
    unknown_part = np.abs(model.stoichiometry).T @ (~known).astype(np.float64)
    inner &= unknown_part == 0
    created = {}
    for element in ELEMENTS:
        if element == CHARGE:
            if model.charges is None:
                continue
            amount = np.array([model.charges.get(name, 0.0) for name in model.metabolites])
        else:
            amount = np.array([0.0 if content is None else content.get(element, 0.0) for content in contents])
        made = model.stoichiometry.T @ amount
        created[element] = fluxes @ np.where(inner, made, 0.0)
    return created


def composition(formula: str | None) -> Mapping[str, float] | None:
    """Return counts by element of a formula such as ``C6H12O6``, or None where it is missing or cannot be read."""
    if not formula or not re.fullmatch(r"([A-Z][a-z]*(\d+(\.\d+)?)?)+", formula):
        return None
    counts: dict[str, float] = {}
    for element, number in re.findall(r"([A-Z][a-z]*)(\d+(?:\.\d+)?)?", formula):
        counts[element] = counts.get(element, 0.0) + (float(number) if number else 1.0)
    return counts
