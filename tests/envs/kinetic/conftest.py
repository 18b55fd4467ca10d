import json
from pathlib import Path

import numpy as np
import pytest

from bioppo.envs.kinetic.network import Modifier, ModifierKind, Network, RateLaw, Reaction, Slot
from bioppo.envs.kinetic.simulator import KineticSimulator
from bioppo.envs.kinetic.steady_state import SteadyState

DATA = Path(__file__).parents[2] / "data" / "kinetic"


def _golden_reaction(entry):
    slots, count = [], {"substrate": 0, "product": 0}
    for item in entry["participants"]:
        side = "substrate" if item["stoichiometry"] < 0 else "product"
        count[side] += 1
        slots.append(Slot(f"{side}{count[side]}", item["species"], item["stoichiometry"], item["km"]))
    modifiers = tuple(
        Modifier(item["species"], item["stoichiometry"], ModifierKind.DISPLACEMENT)
        for item in entry["displacement_modifiers"]
    )
    return Reaction(entry["name"], RateLaw(entry["law"]), tuple(slots), modifiers)


@pytest.fixture(scope="session")
def golden():
    return json.loads((DATA / "e_coli_core.json").read_text())


@pytest.fixture(scope="session")
def golden_jacobians():
    with np.load(DATA / "e_coli_core_jacobians.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="session")
def golden_network(golden):
    return Network(
        tuple(golden["variable_species"]),
        tuple(golden["constant_species"]),
        tuple(_golden_reaction(entry) for entry in golden["reactions"]),
    )


@pytest.fixture(scope="session")
def golden_states(golden, golden_network):
    return [
        SteadyState(
            np.array(member["flux"]),
            np.array([-np.inf if value is None else value for value in member["ln_displacement"]]),
            np.array([member["concentration"][species] for species in golden_network.species]),
            f"golden member {member['member']}",
        )
        for member in golden["members"]
    ]


@pytest.fixture(scope="session")
def golden_simulators(golden_network, golden_states):
    return [KineticSimulator(golden_network, state) for state in golden_states]


def _slot(label, species, stoichiometry, reaction):
    return Slot(label, species, stoichiometry, f"km_{label}_{reaction}" if reaction else None)


@pytest.fixture(scope="session")
def zoo_network():
    """Every rate law and modifier, natural order beyond nine slots, volume ratios, one conserved total."""
    hill, convenience = RateLaw.PAIRWISE_HILL, RateLaw.CONVENIENCE
    irreversible, mass_action = RateLaw.IRREVERSIBLE, RateLaw.MASS_ACTION
    displacement, first_order = ModifierKind.DISPLACEMENT, ModifierKind.FIRST_ORDER
    table = [
        ("uptake", irreversible, [("substrate1", "source", -1), ("product1", "a", 1)], []),
        (
            "kinase",
            hill,
            [("substrate10", "atp", -1), ("product1", "b", 1), ("substrate2", "a", -1), ("product2", "adp", 1)],
            [],
        ),
        ("split", convenience, [("substrate1", "b", -1), ("product1", "c", 3)], [("proton", -1, displacement)]),
        ("isomerase", mass_action, [("substrate1", "d", -1), ("product1", "c", 1)], []),
        (
            "charging",
            convenience,
            [("substrate1", "adp", -1), ("substrate2", "d", -1), ("product1", "atp", 1), ("product2", "e", 1)],
            [],
        ),
        ("fraction", convenience, [("substrate1", "d", -1), ("product1", "g", 0.5)], [("p", 1, displacement)]),
        ("drain_g", irreversible, [("substrate1", "g", -1), ("product1", "sink", 1)], [("m", -1, first_order)]),
        ("feed_m", hill, [("substrate1", "source", -2), ("product1", "m", 1)], [("q", 1, first_order)]),
        ("drain_e", irreversible, [("substrate1", "e", -1), ("substrate2", "source", -1)], []),
        ("drain_p", mass_action, [("substrate1", "p", -1), ("product1", "sink", 1)], [("proton", -2, first_order)]),
        ("drain_q", hill, [("substrate1", "q", -1), ("product1", "sink", 1)], []),
    ]
    reactions = []
    for name, law, slots, modifiers in table:
        owner = None if law is mass_action else name
        reactions.append(
            Reaction(
                name,
                law,
                tuple(_slot(label, species, float(n), owner) for label, species, n in slots),
                tuple(Modifier(species, float(n), kind) for species, n, kind in modifiers),
            )
        )
    variables = ("a", "b", "c", "d", "e", "g", "m", "p", "q", "atp", "adp")
    ratios = (1.0, 2.0, 10.0, 1.0, 1.0, 10 / 9, 3.0, 1.0, 5.0, 1.0, 10.0)
    return Network(variables, ("source", "sink", "proton"), tuple(reactions), ratios)


@pytest.fixture(scope="session")
def zoo_state(zoo_network):
    generator = np.random.default_rng(5)
    flux = np.array([2.0, 2.0, 2.0, -6.0, 2.0, 4.0, 2.0, 2.0, 2.0, 4.0, 2.0])
    displacement = -np.sign(flux) * generator.lognormal(0.0, 1.0, size=len(flux))
    displacement[~zoo_network.reversible] = -np.inf
    concentration = generator.lognormal(np.log(1e-3), 1.5, size=len(zoo_network.species))
    return SteadyState(flux, displacement, concentration, "zoo")


@pytest.fixture(scope="session")
def zoo_simulator(zoo_network, zoo_state):
    return KineticSimulator(zoo_network, zoo_state)
