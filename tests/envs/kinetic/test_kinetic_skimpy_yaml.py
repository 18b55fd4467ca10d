"""SKiMpy's models: read, compared with SKiMpy's own numbers, and written again."""

import json
import pickle
import warnings
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from bioppo.envs.kinetic.conservation import reduce_conservation
from bioppo.envs.kinetic.errors import KineticInputError
from bioppo.envs.kinetic.network import ModifierKind, RateLaw, mass_balance_matrix
from bioppo.envs.kinetic.simulator import KineticSimulator
from bioppo.envs.kinetic.sources.maximal_rates import (
    RateComparison,
    compare_maximal_rates,
    ln_equilibrium_constants,
    ln_maximal_rates,
    warn_of_outliers,
)
from bioppo.envs.kinetic.sources.models import COMPUTED_STATE
from bioppo.envs.kinetic.sources.skimpy_writer import write_skimpy_model, write_skimpy_population
from bioppo.envs.kinetic.sources.skimpy_yaml import read_skimpy_model, renaissance_order
from bioppo.envs.kinetic.sources.state_table import read_computed_state, read_states

DATA = Path(__file__).parents[2] / "data" / "kinetic"
STRAINS = "kinetic/tfa_reference_strains.csv"


def small_model():
    """A chain with every kind of mechanism and modifier, as SKiMpy would store it."""

    def reaction(name, mechanism, **modifiers):
        return {"name": name, "enzyme": None, "mechanism": mechanism, "modifiers": modifiers}

    protons = {"class": "DisplacementSmallMoleculeModifier", "small_molecule": "h", "mechanism_stoichiometry": -2.0}
    first_order = {
        "class": "FirstOrderSmallMoleculeModifier",
        "small_molecule": "h",
        "mechanism_stoichiometry": {"small_molecule": 1.0},
    }
    return {
        "name": "chain",
        "compartments": {"c": "c", "p": "p"},
        "reactants": {name: {"name": name, "compartment": "c"} for name in ("a", "b", "d", "source", "sink")},
        "dependent_reactants": {"h": {"name": "h", "compartment": "p"}},
        "boundary_conditions": {
            f"CC_{name}": {"class": "ConstantConcentration", "reactant": name} for name in ("source", "sink")
        },
        "reactions": {
            "in": reaction("in", {"class": "ReversibleMichaelisMenten", "product": "a", "substrate": "source"}),
            "split": reaction(
                "split",
                {"class": "UniBiReversibleHill", "substrate": "a", "product1": "b", "product2": "d"},
                DSM_h=protons,
            ),
            "join": reaction(
                "join",
                {
                    "class": "Convenience_m1_m1_2",
                    "mechanism_stoichiometry": {"substrate1": -1.0, "substrate2": -1.0, "product1": 2},
                    "product1": "sink",
                    "substrate2": "d",
                    "substrate1": "b",
                },
                HSM_h=first_order,
            ),
            "leak": reaction("leak", {"class": "RevMassaction", "substrate1": "h", "product1": "sink"}),
            "drain": reaction("drain", {"class": "IrrevMichaelisMenten", "substrate1": "a", "product1": "sink"}),
        },
        "parameters": {
            "volume_c": 0.5,
            "cell_volume_c": 1.0,
            "volume_p": 0.1,
            "cell_volume_p": 1.0,
            "hill_coefficient_split": 1.0,
            "km_substrate_in": "1e2",
            "vmax_forward_in": 3,
            "km_product_in": None,
        },
    }


def store(folder, content):
    path = folder / "model.yml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
    return path


def all_constants(model, value=100.0):
    names = read_skimpy_model(model).network.parameter_names
    return dict.fromkeys(names, value)


def test_a_model_is_read_with_its_laws_modifiers_and_volumes(tmp_path):
    model = read_skimpy_model(store(tmp_path, small_model()))
    network = model.network
    assert network.variables == ("a", "b", "d", "h")
    assert network.constants == ("source", "sink")
    assert network.volume_ratios == (2.0, 2.0, 2.0, 10.0)
    assert [reaction.law for reaction in network.reactions] == [
        RateLaw.PAIRWISE_HILL,
        RateLaw.CONVENIENCE,
        RateLaw.CONVENIENCE,
        RateLaw.MASS_ACTION,
        RateLaw.IRREVERSIBLE,
    ]
    assert [slot.label for slot in network.reactions[2].slots] == ["substrate1", "substrate2", "product1"]
    assert network.reactions[2].slots[2].stoichiometry == 2.0
    (protons,), (first_order,) = network.reactions[1].modifiers, network.reactions[2].modifiers
    assert (protons.kind, protons.stoichiometry) == (ModifierKind.DISPLACEMENT, -2.0)
    assert (first_order.kind, first_order.stoichiometry) == (ModifierKind.FIRST_ORDER, 1.0)
    assert network.parameter_names[-2:] == ("km_substrate1_drain", "km_product1_drain")
    np.testing.assert_array_equal(network.acting[-2:], [True, False])
    assert (model.name, model.km, model.vmax) == ("chain", {"km_substrate_in": 100.0}, {"in": 3.0})
    assert model.ln_km is None
    assert model.compartments["h"] == "p"


def test_stored_constants_need_a_unit(tmp_path):
    content = small_model()
    content["parameters"] |= all_constants(store(tmp_path, content))
    path = store(tmp_path, content)
    with pytest.raises(
        KineticInputError, match=r"model\.yml: the unit .* is not known; give concentration_unit, one of M"
    ):
        read_skimpy_model(path).require_ln_km()
    ln_km = read_skimpy_model(path, concentration_unit="uM").require_ln_km()
    np.testing.assert_allclose(ln_km, np.log(1e-4), rtol=1e-15)


def test_the_published_order_goes_through_the_slots_numbers(tmp_path):
    network = read_skimpy_model(store(tmp_path, small_model())).network
    assert renaissance_order(network)[2:8] == (
        "km_substrate_split",
        "km_product1_split",
        "km_product2_split",
        "km_substrate1_join",
        "km_product1_join",
        "km_substrate2_join",
    )


def changed(*keys, value):
    content = small_model()
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    return content


LAWS = "ReversibleMichaelisMenten, H1GeneralizedReversibleHill, Convenience"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("a: 1\n  b: 2", ", line 2: mapping values are not allowed"),
        ("a: !!python/object/apply:os.system [ls]", "line 1: could not determine a constructor for the tag"),
        ("a: \x00", "contains characters that YAML forbids; give"),
        ("just text", "has no reactants, boundary_conditions, parameters, reactions; give"),
        ("reactants: {}\nboundary_conditions: {}\nparameters: null", "has no reactions; give a model in SKiMpy's YAML"),
        (changed("reactants", value=[1]), "reactants is [1]; give a mapping"),
        (changed("reactions", "in", value=3), "Reaction in: is 3; give a mapping with mechanism"),
        (
            changed("reactions", "in", "mechanism", "class", value="RandBiBiReversibleMichaelisMenten"),
            f"Reaction in: the mechanism class RandBiBiReversibleMichaelisMenten is not supported; use one of {LAWS}",
        ),
        (
            changed("reactions", "join", "mechanism", "class", value="ConvenienceInhibited_m1_m1_2_i1"),
            "Reaction join: the mechanism class ConvenienceInhibited_m1_m1_2_i1 is not supported",
        ),
        (
            changed("reactions", "in", "mechanism", "inhibitor1", value="b"),
            "Reaction in: mechanism.inhibitor1 is b; only species at substrate and product slots",
        ),
        (
            changed("reactions", "in", "modifiers", "IM_b", value={"class": "InhibitionModifier", "inhibitor": "b"}),
            "Reaction in: the modifier IM_b of class InhibitionModifier is not supported; use one of Displacement",
        ),
        (
            changed("reactions", "split", "modifiers", "DSM_h", "small_molecule", value=None),
            "Reaction split: the modifier DSM_h needs small_molecule and a number",
        ),
        (
            changed("reactions", "in", "enzyme", value="E"),
            "Reaction in: has the enzyme E as a variable; set enzyme to null",
        ),
        (
            changed("reactions", "join", "mechanism", "mechanism_stoichiometry", "product1", value=-2),
            "Reaction join: mechanism_stoichiometry.product1 is -2; give substrates negative",
        ),
        (
            changed("reactions", "in", "mechanism", "product", value="x"),
            "Reaction in uses the species x, which is neither variable nor constant",
        ),
        (
            changed("reactions", "in", "mechanism", value={"class": "H1GeneralizedReversibleHill", "substrate1": "a"}),
            "Reaction in has 1 substrates and 0 products, but a Hill law pairs them one to one; use Convenience",
        ),
        (changed("parameters", "hill_coefficient_split", value=2.0), "parameters.hill_coefficient_split is 2; only 1"),
        (changed("parameters", "volume_c", value=0), "parameters.volume_c is 0; give a finite number greater than 0"),
        (changed("parameters", "cell_volume_p", value=-1.5), "parameters.cell_volume_p is -1.5; give"),
        (changed("parameters", "km_substrate_in", value=float("nan")), "parameters.km_substrate_in is nan; give"),
        (changed("parameters", "vmax_forward_in", value="fast"), "parameters.vmax_forward_in is fast; give"),
        (
            changed("boundary_conditions", "CC_sink", "class", value="BoundaryFlux"),
            "boundary_conditions.CC_sink is {'class': 'BoundaryFlux', 'reactant': 'sink'}; only class ConstantConc",
        ),
    ],
)
def test_a_model_that_cannot_be_used_is_refused(tmp_path, content, sentence):
    path = store(tmp_path, content)
    with pytest.raises(KineticInputError) as error:
        read_skimpy_model(path)
    assert str(error.value).startswith(str(path))
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_other_files_and_units_are_refused(tmp_path):
    with pytest.raises(KineticInputError, match=r"nowhere\.yml: No such file or directory; give the path of a model"):
        read_skimpy_model(tmp_path / "nowhere.yml")
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"reactions": {}}))
    with pytest.raises(KineticInputError, match=r"model\.pkl: is no text, and pickles are refused"):
        read_skimpy_model(tmp_path / "model.pkl")
    with pytest.raises(KineticInputError, match="concentration_unit=molar: give one of M, mM, uM, nM"):
        read_skimpy_model(store(tmp_path, small_model()), concentration_unit="molar")


def test_missing_constants_are_counted_and_named(tmp_path):
    model = read_skimpy_model(store(tmp_path, small_model()), concentration_unit="mM")
    with pytest.raises(
        KineticInputError, match="parameters has 1 of 10 Michaelis constants, without km_product_in, km_"
    ):
        model.require_ln_km()


@pytest.mark.parametrize("model", ["zoo", "golden"])
def test_a_written_model_is_the_same_model(request, tmp_path, model):
    network = request.getfixturevalue(f"{model}_network")
    state = request.getfixturevalue("zoo_state") if model == "zoo" else request.getfixturevalue("golden_states")[0]
    ln_km = np.random.default_rng(3).uniform(-12, -3, len(network.parameter_names))
    write_skimpy_model(tmp_path / "one.yml", network, concentration_unit="mM", state=state, ln_km=ln_km)
    read = read_skimpy_model(tmp_path / "one.yml", concentration_unit="mM")
    assert (read.network.variables, read.network.constants) == (network.variables, network.constants)
    found = KineticSimulator(read.network, state).max_eigenvalue(read.require_ln_km()[None])
    constants = dict(zip(read.network.parameter_names, read.require_ln_km(), strict=True))
    np.testing.assert_array_equal([constants[name] for name in network.parameter_names], ln_km)
    np.testing.assert_allclose(found, KineticSimulator(network, state).max_eigenvalue(ln_km[None]), rtol=1e-9)
    write_skimpy_model(
        tmp_path / "two.yml",
        read.network,
        concentration_unit="M",
        compartments=read.compartments,
        state=state,
        ln_km=read.ln_km,
    )
    again = read_skimpy_model(tmp_path / "two.yml", concentration_unit="M")
    assert again.network.reactions == read.network.reactions
    repeated = KineticSimulator(again.network, state).max_eigenvalue(again.require_ln_km()[None])
    np.testing.assert_allclose(repeated, found, rtol=1e-12)


def test_a_model_without_numbers_is_written_with_nulls(tmp_path):
    model = read_skimpy_model(store(tmp_path, small_model()))
    write_skimpy_model(tmp_path / "m.yml", model.network, concentration_unit="M", compartments=model.compartments)
    again = read_skimpy_model(tmp_path / "m.yml", concentration_unit="M")
    assert (again.network, again.km, again.vmax, again.ln_km) == (model.network, {}, {}, None)
    parameters = yaml.safe_load((tmp_path / "m.yml").read_text())["parameters"]
    assert parameters["hill_coefficient_split"] == 1.0
    assert {"source", "k_equilibrium_leak", "vmax_forward_drain"} <= {
        key for key in parameters if parameters[key] is None
    }


def test_what_skimpy_cannot_express_is_not_written(tmp_path, zoo_network):
    compartments = dict.fromkeys(zoo_network.species, "c")
    with pytest.raises(KineticInputError, match=r"compartments: a has the volume ratio 1, unlike others .* c; give"):
        write_skimpy_model(tmp_path / "m.yml", zoo_network, concentration_unit="M", compartments=compartments)
    content = changed("reactions", "in", "mechanism", "mechanism_stoichiometry", value={"substrate": -2.0})
    network = read_skimpy_model(store(tmp_path, content)).network
    with pytest.raises(
        KineticInputError, match="Reaction in: the slot substrate with km_substrate_in and stoichiometry -2"
    ):
        write_skimpy_model(tmp_path / "m.yml", network, concentration_unit="M")


def test_maximal_rates_give_the_fluxes_back(zoo_network, zoo_state):
    """Rates written out for one reaction of each law, with the K and the V that the functions return."""
    ln_km = np.random.default_rng(4).uniform(-12, -3, (2, len(zoo_network.parameter_names)))
    vmax = np.exp(ln_maximal_rates(zoo_network, zoo_state, ln_km))[1]
    keq = np.exp(ln_equilibrium_constants(zoo_network, zoo_state))
    x = dict(zip(zoo_network.species, zoo_state.concentration, strict=True))
    k = dict(zip(zoo_network.parameter_names, np.exp(ln_km[1]), strict=True))
    names = [reaction.name for reaction in zoo_network.reactions]

    def ratio(species, label, reaction):
        return x[species] / k[f"km_{label}_{reaction}"]

    a, atp = ratio("a", "substrate2", "kinase"), ratio("atp", "substrate10", "kinase")
    b, adp = ratio("b", "product1", "kinase"), ratio("adp", "product2", "kinase")
    kinase = a * atp * (1 - x["b"] * x["adp"] / x["a"] / x["atp"] / keq[1]) / ((1 + a + b) * (1 + atp + adp))
    s, p = ratio("b", "substrate1", "split"), ratio("c", "product1", "split")
    split = s * (1 - x["c"] ** 3 / x["b"] / x["proton"] / keq[2]) / (1 + s + p + p**2 + p**3)
    isomerase = x["d"] * (1 - x["c"] / x["d"] / keq[3])
    g = ratio("g", "substrate1", "drain_g")
    drain_g = g / (1 + g) * x["m"]
    for name, rate in [("kinase", kinase), ("split", split), ("isomerase", isomerase), ("drain_g", drain_g)]:
        row = names.index(name)
        np.testing.assert_allclose(vmax[row] * rate, zoo_state.flux[row], rtol=1e-9)
    assert np.isnan(keq[names.index("drain_g")])


def test_stored_rates_are_compared_in_their_own_unit(tmp_path, zoo_network, zoo_state):
    ln_km = np.random.default_rng(3).uniform(-12, -3, len(zoo_network.parameter_names))
    write_skimpy_model(tmp_path / "m.yml", zoo_network, concentration_unit="uM", state=zoo_state, ln_km=ln_km)
    vmax = read_skimpy_model(tmp_path / "m.yml").vmax
    same = compare_maximal_rates(zoo_network, zoo_state, ln_km, vmax, concentration_unit="uM")
    assert same.ratio == pytest.approx(1.0, rel=1e-9)
    assert same.outliers == {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_outliers(same, model="m.yml", state="zoo")
    wrong = compare_maximal_rates(
        zoo_network, zoo_state, ln_km, {**vmax, "kinase": 0.5 * vmax["kinase"]}, concentration_unit="uM"
    )
    assert wrong.outliers == {"kinase": pytest.approx(0.5, rel=1e-9)}
    with pytest.warns(UserWarning, match=r"^m\.yml: 1 stored vmax do not fit zoo \(kinase 0.5x, .* ratio 1\)"):
        warn_of_outliers(wrong, model="m.yml", state="zoo")
    with pytest.raises(KineticInputError, match="No maximal rate is stored for any reaction"):
        compare_maximal_rates(zoo_network, zoo_state, ln_km, {}, concentration_unit="uM")


def test_a_population_has_the_layout_that_skimpy_loads(tmp_path, zoo_network, zoo_state):
    ln_km = np.random.default_rng(5).uniform(-12, -3, (3, len(zoo_network.parameter_names)))
    write_skimpy_population(tmp_path / "sets.hdf5", zoo_network, zoo_state, ln_km, concentration_unit="mM")
    write_skimpy_model(tmp_path / "m.yml", zoo_network, concentration_unit="mM", state=zoo_state, ln_km=ln_km[2])
    stored = yaml.safe_load((tmp_path / "m.yml").read_text())["parameters"]
    with h5py.File(tmp_path / "sets.hdf5") as file:
        assert int(np.array(file.get("num_parameters_sets"))) == 3
        assert file["index"].asstr()[:].tolist() == ["0", "1", "2"]
        names = file["parameter_names"].asstr()[:]
        values = dict(zip(names, file["parameter_set_2"][:], strict=True))
    assert set(values) <= set(stored)
    for name, value in values.items():
        assert value == pytest.approx(stored[name], rel=1e-12)
    assert {"km_substrate1_uptake", "vmax_forward_isomerase", "k_equilibrium_kinase", "proton"} <= set(values)
    assert "k_equilibrium_uptake" not in values


def test_sets_that_do_not_fit_are_not_written(tmp_path, zoo_network, zoo_state):
    ln_km = np.zeros((2, len(zoo_network.parameter_names)))
    for sets, folder, sentence in [
        (ln_km[:, 1:], tmp_path, "ln_km has the shape"),
        (ln_km * np.nan, tmp_path, "set 0 has no positive finite value of km_substrate1_uptake"),
        (ln_km, tmp_path / "later", "later does not exist; make it first"),
    ]:
        with pytest.raises(KineticInputError, match=sentence):
            write_skimpy_population(folder / "sets.h5", zoo_network, zoo_state, sets, concentration_unit="M")
    with pytest.raises(KineticInputError, match="later does not exist; make it first"):
        write_skimpy_model(tmp_path / "later" / "m.yml", zoo_network, concentration_unit="M")


@pytest.fixture(scope="module")
def varma(public_data):
    model = read_skimpy_model(public_data("kinetic/varma_strain_1.yml"), concentration_unit="uM")
    (state,) = read_states(public_data(STRAINS), model.network, rows=["strain_1"])
    return model, state, json.loads((DATA / "varma_strain1_skimpy.json").read_text())


@pytest.fixture(scope="module")
def renaissance(public_data):
    model = read_skimpy_model(public_data("kinetic/kin_varma_curated.yaml"))
    state = read_computed_state(COMPUTED_STATE, model.network)
    return model, state, json.loads((DATA / "renaissance384_skimpy.json").read_text())


def golden_sets(network, golden):
    """The cases' ln K, inert constants at an arbitrary value."""
    sets = np.full((len(golden["cases"]), len(network.parameter_names)), -5.0)
    columns = [network.parameter_names.index(name) for name in golden["parameter_names"]]
    sets[:, columns] = [case["ln_km"] for case in golden["cases"]]
    return sets


@pytest.mark.parametrize(
    ("model", "counts"), [("varma", (65, 49, 43, 251, 230)), ("renaissance", (123, 90, 85, 384, 358))]
)
def test_published_models_have_skimpys_eigenvalues(request, model, counts):
    read, state, golden = request.getfixturevalue(model)
    simulator = KineticSimulator(read.network, state)
    assert counts == (
        len(read.network.reactions),
        len(read.network.variables),
        simulator.n_independent,
        len(read.network.parameter_names),
        read.network.acting.sum(),
    )
    sets = golden_sets(read.network, golden)
    found = simulator.eigenvalues(sets)
    for eigenvalues, case in zip(found, golden["cases"], strict=True):
        expected = case["lambda_max"]
        assert abs(eigenvalues.real.max() - expected) < 1e-6 * (1 + abs(expected))
    inert = sets.copy()
    inert[:, ~read.network.acting] = 2.0
    np.testing.assert_array_equal(simulator.max_eigenvalue(inert), simulator.max_eigenvalue(sets))


def test_skimpys_eigenvalues_need_the_volume_ratios(renaissance):
    read, state, golden = renaissance
    found = KineticSimulator(replace(read.network, volume_ratios=()), state).max_eigenvalue(
        golden_sets(read.network, golden)
    )
    assert not np.isclose(found, [case["lambda_max"] for case in golden["cases"]], rtol=1e-2).any()


@pytest.mark.parametrize(("model", "cases"), [("varma", ["s1_00", "s1_01"]), ("renaissance", ["r_00"])])
def test_published_models_have_skimpys_jacobians(request, model, cases):
    read, state, golden = request.getfixturevalue(model)
    with np.load(DATA / "skimpy_jacobians.npz") as arrays:
        independent = arrays[f"{model}_species"].tolist()
        expected = [arrays[f"{model}_{case}"] for case in cases]
    variables = read.network.variables
    order = np.array([variables.index(name) for name in [*independent, *(set(variables) - set(independent))]])
    reduction = reduce_conservation(mass_balance_matrix(read.network), order)
    simulator = KineticSimulator(read.network, state, reduction=reduction)
    position = [independent.index(variables[row]) for row in reduction.independent]
    ids = [case["id"] for case in golden["cases"]]
    found = simulator.jacobian(golden_sets(read.network, golden)[[ids.index(case) for case in cases]])
    for one, other in zip(found, expected, strict=True):
        size = np.linalg.norm(other)
        assert np.linalg.norm(one - other[np.ix_(position, position)]) < 1e-7 * size


def test_the_published_order_of_renaissance(renaissance):
    golden = json.loads(COMPUTED_STATE.read_text())
    assert list(renaissance_order(renaissance[0].network)) == golden["km_names_renaissance_order"]
    assert renaissance[1].provenance.endswith("(state=computed)")


def test_the_stored_set_and_its_rates(varma, public_data):
    model, state, _ = varma
    (steeper,) = read_states(public_data(STRAINS), model.network, rows=[0], flux_scale=0.36)
    for flux_state, expected in [(state, -13.1004525), (steeper, -15.7205)]:
        found = KineticSimulator(model.network, flux_state).max_eigenvalue(model.require_ln_km()[None])[0]
        assert found == pytest.approx(expected, rel=3e-6)
    comparison = compare_maximal_rates(model.network, state, model.ln_km, model.vmax, concentration_unit="uM")
    assert comparison == RateComparison(pytest.approx(1.2, rel=1e-6), {})


def test_the_mutants_rates_do_not_belong_to_the_state(public_data):
    model = read_skimpy_model(public_data("kinetic/varma_strain_2.yml"), concentration_unit="uM")
    (state,) = read_states(public_data(STRAINS), model.network, rows=["strain_2"])
    comparison = compare_maximal_rates(model.network, state, model.ln_km, model.vmax, concentration_unit="uM")
    assert comparison.outliers == {"GAPD": pytest.approx(2.0, rel=1e-6)}
    with pytest.warns(UserWarning, match=r"1 stored vmax do not fit strain_2 \(GAPD 2x"):
        warn_of_outliers(comparison, model=str(model.path), state="strain_2")


def test_a_published_model_written_again_has_the_same_eigenvalue(tmp_path, varma):
    model, state, _ = varma
    write_skimpy_model(
        tmp_path / "again.yml",
        model.network,
        concentration_unit="uM",
        name=model.name,
        compartments=model.compartments,
        state=state,
        ln_km=model.ln_km,
    )
    again = read_skimpy_model(tmp_path / "again.yml", concentration_unit="uM")
    assert (again.network, again.name, again.compartments) == (model.network, model.name, model.compartments)
    one, other = (
        KineticSimulator(read.network, state).max_eigenvalue(read.require_ln_km()[None])[0] for read in (model, again)
    )
    assert other == pytest.approx(one, rel=1e-12)
