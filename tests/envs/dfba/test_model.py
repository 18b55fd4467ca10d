"""Models by name, path and edits; the published toy models, reaction by reaction."""

import numpy as np
import pytest
from scipy.optimize import linprog

from bioppo.envs.dfba.model import FluxModel, load_model

TOY = """
Glc_e          | -1 Glc                             | -20 | 0
ATP_Cat        | -1 Glc -1 ADP +1 S_x +1 ATP        | 0   | 1000
ATP_M          | -1 ATP +1 ADP                      | 1   | 100
X_Production   | -1 S_x -100 ATP +1 X +100 ADP      | 0   | 1000
X_Ex           | -1 X                               | 0   | 1000
P_Prod         | -1 S_x -1 ADP +0.1 P +1 ATP        | 0   | 1000
P_e            | -1 P                               | 0   | 1000
Amylase_Prod   | -1 S_x -1 ATP +0.1 Amylase +1 ADP  | 0   | 1000
Amylase_e      | -1 Amylase                         | 0   | 1000
"""
NECOM = """
{S}_e       | -1 {S}                                        | -10    | 0
A_e         | -1 A                                          | {A_lb} | 100
B_e         | -1 B                                          | {B_lb} | 100
P_e         | -1 P                                          | 0      | 100
R_1_sp{k}   | -1 {S} -2 ADP +1 P +2 ATP                     | 0      | 1000
R_2_sp{k}   | -1 P -1 ATP +3 B +1 ADP                       | 0      | 1000
R_3_sp{k}   | -1 P -{q} ATP +{m} A +{q} ADP                 | 0      | 1000
R_4_sp{k}   | -1 ATP +1 ADP                                 | 0      | 1000
OBJ_sp{k}   | -5 A -5 B -5 ATP +0.1 biomass_sp{k} +5 ADP    | 0      | 1000
Biomass_{k} | -1 biomass_sp{k}                              | 0      | 1000
"""


def table(text: str) -> dict[str, tuple[dict[str, float], float, float]]:
    rows = {}
    for line in text.strip().splitlines():
        name, stoichiometry, lower, upper = (cell.strip() for cell in line.split("|"))
        words = stoichiometry.split()
        terms = {metabolite: float(number) for number, metabolite in zip(words[::2], words[1::2], strict=True)}
        rows[name] = (terms, float(lower), float(upper))
    return rows


def content(model: FluxModel) -> dict[str, tuple[dict[str, float], float, float]]:
    dense = model.stoichiometry.toarray()
    return {
        name: (
            {model.metabolites[row]: dense[row, column] for row in np.flatnonzero(dense[:, column])},
            model.lower[column],
            model.upper[column],
        )
        for column, name in enumerate(model.reactions)
    }


def exchange_names(model: FluxModel) -> dict[str, str]:
    return {species: model.reactions[column] for species, column in model.exchanges.items()}


@pytest.mark.parametrize("number", [None, 1, 2, 3, 4, 5])
def test_starch_models_are_the_published_ones(number: int | None) -> None:
    ending = "" if number is None else f"_{number}"
    model = load_model(f"toy_sa{ending}")
    assert content(model) == table(TOY.replace("Glc", f"Glc{ending}").replace("Amylase", f"Amylase{ending}"))
    assert model.reactions[model.objective] == "X_Ex"
    glucose, amylase = f"Glc{ending}", f"Amylase{ending}"
    assert exchange_names(model) == {glucose: f"{glucose}_e", "P": "P_e", amylase: f"{amylase}_e"}


@pytest.mark.parametrize("species", [1, 2])
@pytest.mark.parametrize("kind", ["aux", "mut", "no_overlap"])
def test_necom_models_are_the_published_ones(kind: str, species: int) -> None:
    model = load_model(f"necom_{kind}_{species}")
    substrate = f"S{species}" if kind == "no_overlap" else "S"
    both = {"aux": [(-100, 0), (0, -100)][species - 1]}.get(kind, (-100, -100))
    cost, gain = {"aux": (1, 3), "mut": (3, 1), "no_overlap": (6, 1)}[kind]
    expected = table(NECOM.format(S=substrate, k=species, A_lb=both[0], B_lb=both[1], q=cost, m=gain))
    if kind == "aux":
        del expected[f"R_{[3, 2][species - 1]}_sp{species}"]
    assert content(model) == expected
    assert model.reactions[model.objective] == f"Biomass_{species}"
    assert exchange_names(model) == {substrate: f"{substrate}_e", "A": "A_e", "B": "B_e", "P": "P_e"}


def test_starch_model_follows_its_closed_form() -> None:
    """By SciPy's solver, which the engines do not use; 1000 states are tested with every engine elsewhere."""
    model = load_model("toy_sa")
    generator = np.random.default_rng(1)
    for glucose, wanted in zip(generator.uniform(0, 100, 50), generator.uniform(0, 12, 50), strict=True):
        uptake, secretion = 10 * glucose / (glucose + 10), min(wanted, 10.0)
        lower, upper = model.lower.copy(), model.upper.copy()
        for species, floor in (("Glc", -uptake), ("P", 0.0), ("Amylase", secretion)):
            lower[model.exchanges[species]], upper[model.exchanges[species]] = floor, 100.0
        cost = np.zeros(len(model.reactions))
        cost[model.objective] = -1.0
        result = linprog(
            cost, A_eq=model.stoichiometry, b_eq=np.zeros(len(model.metabolites)), bounds=np.stack([lower, upper], 1)
        )
        growth = (2 * uptake - 1 - 20 * secretion) / 101
        assert (result.status == 0) == (growth >= 0)
        if growth >= 0:
            expected = [-uptake, 0.1 * (uptake - growth - 10 * secretion), secretion]
            assert -result.fun == pytest.approx(growth, abs=1e-9)
            assert result.x[list(model.exchanges.values())] == pytest.approx(expected, abs=1e-9)
