"""Elements and charge of a model's metabolites, and the reactions that do not conserve them."""

import re

import numpy as np
from numpy.typing import NDArray

from ..flux_model import FluxModel

FloatArray = NDArray[np.float64]
ELEMENT = re.compile(r"([A-Z][a-z]?)(\d*\.?\d*)")
BALANCED = 1e-6
CHARGE = "charge"


def element_matrix(model: FluxModel) -> tuple[tuple[str, ...], FloatArray]:
    """Return the elements, the last one ``charge``, and how much a mole of every metabolite has of them.

    The matrix is ``(n_elements + 1, n_metabolites)``; NaN where the file states no formula, or no charge.
    """
    formulas = [parse_formula((model.formulas or {}).get(name)) for name in model.metabolites]
    elements = sorted({element for formula in formulas if formula for element in formula})
    matrix = np.full((len(elements) + 1, len(formulas)), np.nan)
    for column, formula in enumerate(formulas):
        if formula is not None:
            matrix[:-1, column] = [formula.get(element, 0.0) for element in elements]
    charges = model.charges or {}
    matrix[-1] = [charges.get(name, np.nan) for name in model.metabolites]
    return (*elements, CHARGE), matrix


def parse_formula(formula: str | None) -> dict[str, float] | None:
    """Return the atoms of a formula such as ``C6H12O6``; None where there is none, or it is no plain one."""
    if not formula or ELEMENT.sub("", formula):
        return None
    atoms: dict[str, float] = {}
    for element, number in ELEMENT.findall(formula):
        atoms[element] = atoms.get(element, 0.0) + (float(number) if number else 1.0)
    return atoms


def unbalanced_reactions(model: FluxModel) -> dict[str, dict[str, float]]:
    """Return what reactions make from nothing (positive) or lose, by reaction and element.

    Left out are the growth reaction and others that stand for biomass, reactions of a single metabolite, which cross
    the boundary, and those with a metabolite whose formula is not known; for ``charge``, those whose charge is not.
    """
    if model.formulas is None:
        return {}
    names, composition = element_matrix(model)
    stoichiometry = model.stoichiometry
    result = {}
    for column, reaction in enumerate(model.reactions):
        entries = slice(stoichiometry.indptr[column], stoichiometry.indptr[column + 1])
        numbers = stoichiometry.data[entries]
        if len(numbers) < 2 or column == model.objective or "biomass" in reaction.lower():
            continue
        sums = composition[:, stoichiometry.indices[entries]] @ numbers
        excess = {name: float(total) for name, total in zip(names, sums, strict=True) if abs(total) > BALANCED}
        if excess:
            result[reaction] = excess
    return result
