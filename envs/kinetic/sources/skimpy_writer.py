"""Models and parameter sets as files that SKiMpy loads (Weilandt et al. 2023).

``skimpy.io.yaml.load_yaml_model`` loads a model, ``skimpy.core.parameters.load_parameter_population`` the sets; then
``model.parameters = sets["0"]`` puts one set, with the maximal rates and equilibrium constants of the steady state,
into the model, which is ready for ``prepare()`` and its compilers.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import KineticInputError
from ..network import FloatArray, ModifierKind, Network, RateLaw, Reaction
from ..populations import Population, check_folder, stored_constants
from ..steady_state import SteadyState, check_steady_state
from .maximal_rates import equilibrium_orders, ln_equilibrium_constants, ln_maximal_rates, rate_orders
from .skimpy_reactions import MODIFIERS
from .units import molar

FIXED_MECHANISMS = {
    frozenset({"substrate", "product"}): (RateLaw.PAIRWISE_HILL, "ReversibleMichaelisMenten"),
    frozenset({"substrate", "product1", "product2"}): (RateLaw.CONVENIENCE, "UniBiReversibleHill"),
    frozenset({"substrate1", "substrate2", "product"}): (RateLaw.CONVENIENCE, "BiUniReversibleHill"),
}
"""Mechanism classes with given slots and stoichiometry."""
GENERAL_MECHANISMS = {
    RateLaw.PAIRWISE_HILL: "H1GeneralizedReversibleHill",
    RateLaw.CONVENIENCE: "Convenience",
    RateLaw.IRREVERSIBLE: "IrrevMichaelisMenten",
    RateLaw.MASS_ACTION: "RevMassaction",
}
MODIFIER_CLASSES = {kind: name for name, kind in MODIFIERS.items()}
MODIFIER_PREFIXES = {ModifierKind.DISPLACEMENT: "DSM", ModifierKind.FIRST_ORDER: "HSM"}


def write_skimpy_model(
    path: str | Path,
    network: Network,
    *,
    concentration_unit: str,
    name: str = "bioppo",
    compartments: Mapping[str, str] | None = None,
    state: SteadyState | None = None,
    ln_km: FloatArray | None = None,
) -> None:
    """Write a model in SKiMpy's YAML; read back, it has the same Jacobians.

    Parameters
    ----------
    path
        The file; an existing one is replaced.
    network
        Slots are labelled substrate or product, with numbers where a mechanism has several.
    concentration_unit
        Unit of all stored numbers, with hours: M, mM, uM or nM. SKiMpy's own examples use uM.
    name
        The model's name in the file.
    compartments
        Compartment of the species; None: one for each volume ratio. Cell volumes are stored as 1.
    state
        Stores constant concentrations, equilibrium constants, and the steady state as initial conditions; else null.
    ln_km
        Stores Michaelis constants, given as ln(mol/L), ``(n_parameters,)``, and with a state maximal rates; else null.

    Raises
    ------
    KineticInputError
        The folder does not exist, the unit is unknown, or SKiMpy cannot express the network or its compartments.
    """
    import yaml

    check_folder(Path(path))
    unit = molar(concentration_unit)
    names, volumes = _compartments(network, compartments)
    content = {
        "name": name,
        "compartments": {compartment: compartment for compartment in volumes},
        "reactants": {species: {"name": species, "compartment": names.get(species)} for species in network.species},
        "boundary_conditions": {
            f"CC_{species}": {"class": "ConstantConcentration", "reactant": species} for species in network.constants
        },
        "reactions": {reaction.name: _encode_reaction(reaction) for reaction in network.reactions},
        "parameters": _stored_parameters(network, state, ln_km, unit)
        | {f"volume_{compartment}": volume for compartment, volume in volumes.items()}
        | {f"cell_volume_{compartment}": 1.0 for compartment in volumes},
        "initial_conditions": {}
        if state is None
        else dict(zip(network.variables, (state.concentration / unit).tolist(), strict=False)),
        "constraints": {},
    }
    with Path(path).open("w", encoding="utf-8") as file:
        yaml.dump(content, file, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False)


def write_skimpy_population(
    path: str | Path, network: Network, state: SteadyState, ln_km: FloatArray, *, concentration_unit: str
) -> None:
    """Write sets in the HDF5 layout of SKiMpy's ``ParameterValuePopulation``, named "0", "1" and so on.

    Each set has all Michaelis constants, the maximal rates and equilibrium constants of the state, and the constant
    concentrations, in the same unit as the model they are loaded into.

    Parameters
    ----------
    path
        The file (.h5 or .hdf5); an existing one is replaced.
    network, state
        The model and the steady state that all sets share.
    ln_km
        Michaelis constants, ln(mol/L), ``(n_sets, n_parameters)``.
    concentration_unit
        M, mM, uM or nM, with hours.

    Raises
    ------
    KineticInputError
        The folder does not exist, the unit is unknown, or the sets or the state do not fit the network.
    """
    import h5py

    check_folder(Path(path))
    check_steady_state(network, state)
    Population(network.parameter_names, ln_km, np.full(len(ln_km), np.nan), source=str(path))
    unit = molar(concentration_unit)
    used = {participant.species for reaction in network.reactions for participant in reaction.participants}
    names, values = [], []
    for section in (
        _maximal_rates(network, state, ln_km, unit),
        {key: np.full(len(ln_km), value) for key, value in _equilibrium_constants(network, state, unit).items()},
        {key: np.exp(ln_km[:, index]) / unit for index, key in enumerate(network.parameter_names)},
        {
            species: np.full(len(ln_km), state.concentration[network.species_index[species]] / unit)
            for species in network.constants
            if species in used
        },
    ):
        names += list(section)
        values += list(section.values())
    sets = np.column_stack(values)
    with h5py.File(path, "w") as file:
        file.create_dataset("parameter_names", data=names, dtype=h5py.string_dtype())
        file.create_dataset("num_parameters_sets", data=len(sets))
        file.create_dataset("index", data=[str(number) for number in range(len(sets))], dtype=h5py.string_dtype())
        for number, numbers in enumerate(sets):
            file.create_dataset(f"parameter_set_{number}", data=numbers)
        file.attrs["concentration_unit"] = concentration_unit
        file.attrs["provenance"] = state.provenance


def _compartments(network: Network, given: Mapping[str, str] | None) -> tuple[dict[str, str], dict[str, float]]:
    """Return the compartment of every species that has one, and the volume of every compartment."""
    ratios = dict(zip(network.variables, network.volume_ratios or (1.0,) * len(network.variables), strict=True))
    if given is None:
        label = {ratio: f"c{number}" for number, ratio in enumerate(dict.fromkeys(ratios.values()), start=1)}
        given = {species: label[ratios.get(species, next(iter(label)))] for species in network.species}
    names = {species: given[species] for species in network.species if species in given}
    volumes: dict[str, float] = dict.fromkeys(names.values(), 1.0) | {
        names[species]: 1.0 / ratio for species, ratio in ratios.items() if species in names
    }
    for species, ratio in ratios.items():
        if abs(volumes.get(names.get(species, ""), 1.0) * ratio - 1.0) > 1e-12:
            raise KineticInputError(
                f"compartments: {species} has the volume ratio {ratio:g}, unlike others in its compartment "
                f"{names.get(species)}; give species of one ratio a compartment of their own."
            )
    return names, volumes


def _encode_reaction(reaction: Reaction) -> dict[str, Any]:
    law, mechanism_class = FIXED_MECHANISMS.get(frozenset(slot.label for slot in reaction.slots), (None, ""))
    is_fixed = law is reaction.law
    mechanism: dict[str, Any] = {"class": mechanism_class if is_fixed else GENERAL_MECHANISMS[reaction.law]}
    for slot in reaction.slots:
        if slot.parameter not in (None, f"km_{slot.label}_{reaction.name}") or (
            is_fixed and abs(slot.stoichiometry) != 1
        ):
            raise KineticInputError(
                f"Reaction {reaction.name}: the slot {slot.label} with {slot.parameter} and stoichiometry "
                f"{slot.stoichiometry:g} has no counterpart in SKiMpy's {mechanism['class']}; number the slots, and "
                "call the constants km_<slot>_<reaction>."
            )
        mechanism[slot.label] = slot.species
    if not is_fixed:
        mechanism["mechanism_stoichiometry"] = {slot.label: float(slot.stoichiometry) for slot in reaction.slots}
    modifiers: dict[str, Any] = {}
    for number, modifier in enumerate(reaction.modifiers):
        key = f"{MODIFIER_PREFIXES[modifier.kind]}_{modifier.species}"
        modifiers[f"{key}_{number}" if key in modifiers else key] = {
            "class": MODIFIER_CLASSES[modifier.kind],
            "small_molecule": modifier.species,
            "mechanism_stoichiometry": {"small_molecule": float(modifier.stoichiometry)},
        }
    return {"name": reaction.name, "enzyme": None, "mechanism": mechanism, "modifiers": modifiers}


def _stored_parameters(
    network: Network, state: SteadyState | None, ln_km: FloatArray | None, unit: float
) -> dict[str, float | None]:
    """Return all numbers of the section ``parameters`` but volumes; null for those that are not known."""
    stored: dict[str, float | None] = dict.fromkeys(network.constants)
    stored |= dict.fromkeys(network.parameter_names)
    stored |= {f"vmax_forward_{reaction.name}": None for reaction in network.reactions}
    stored |= {f"k_equilibrium_{reaction.name}": None for reaction in network.reactions if reaction.law.reversible}
    stored |= {
        f"hill_coefficient_{reaction.name}": 1.0
        for reaction in network.reactions
        if _encode_reaction(reaction)["mechanism"]["class"] in ("UniBiReversibleHill", "BiUniReversibleHill")
    }
    if ln_km is not None:
        # SKiMpy has constants for products of irreversible laws, which take no part in the rate: any value will do.
        stored |= {
            f"km_{slot.label}_{reaction.name}": 1.0
            for reaction in network.reactions
            for slot in reaction.slots
            if reaction.law is RateLaw.IRREVERSIBLE and slot.parameter is None
        }
        stored |= dict(zip(network.parameter_names, stored_constants(ln_km, unit).tolist(), strict=True))
    if state is not None:
        constants = state.concentration[len(network.variables) :] / unit
        stored |= dict(zip(network.constants, constants.tolist(), strict=True))
        stored |= _equilibrium_constants(network, state, unit)
    if ln_km is not None and state is not None:
        rates = _maximal_rates(network, state, ln_km[None], unit)
        stored |= {key: float(values[0]) for key, values in rates.items()}
    return stored


def _maximal_rates(network: Network, state: SteadyState, ln_km: FloatArray, unit: float) -> dict[str, FloatArray]:
    rates = np.exp(ln_maximal_rates(network, state, ln_km) - rate_orders(network) * np.log(unit))
    return {f"vmax_forward_{reaction.name}": rates[:, index] for index, reaction in enumerate(network.reactions)}


def _equilibrium_constants(network: Network, state: SteadyState, unit: float) -> dict[str, float]:
    constants = np.exp(ln_equilibrium_constants(network, state) - equilibrium_orders(network) * np.log(unit))
    return {
        f"k_equilibrium_{reaction.name}": float(constants[index])
        for index, reaction in enumerate(network.reactions)
        if reaction.law.reversible
    }
