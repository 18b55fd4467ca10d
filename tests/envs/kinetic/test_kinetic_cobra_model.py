import builtins
import logging

import cobra
import numpy as np
import pytest
from cobra.io import save_json_model, write_sbml_model

from bioppo.envs.kinetic.errors import KineticInputError
from bioppo.envs.kinetic.network import RateLaw
from bioppo.envs.kinetic.simulator import KineticSimulator
from bioppo.envs.kinetic.sources import cobra_model, cobra_network
from bioppo.envs.kinetic.sources.cobra_model import load_cobra_model
from bioppo.envs.kinetic.sources.cobra_network import read_cobra_network
from bioppo.envs.kinetic.sources.cobra_source import read_cobra_file
from bioppo.envs.kinetic.sources.e_coli_core import read_textbook_model
from bioppo.envs.kinetic.steady_state import content_hash

FORMULAS = {"s_e": "C", "a_c": "C", "b_c": "C", "w_c": "H2O", "x_c": "H", "waste_c": "C", "spare_c": "C"}


@pytest.fixture
def toy():
    """Uptake, two ways from a to b, growth with waste that leaves the cell, and what rests: a loop and a dead end."""
    model = cobra.Model("toy")
    model.add_metabolites(
        [cobra.Metabolite(name, formula=formula, compartment=name[-1]) for name, formula in FORMULAS.items()]
    )
    equations = {
        "EX_s_e": ("s_e <=>", -10, 1000),
        "DM_waste_c": ("waste_c -->", 0, 1000),
        "uptake": ("s_e <=> a_c", -1000, 1000),
        "swap": ("b_c <=> a_c + w_c + 2 x_c", -1000, 1000),
        "detour": ("a_c --> b_c", 0, 2),
        "back": ("b_c --> a_c", 0, 1000),
        "dead_end": ("a_c <=> spare_c", -1000, 1000),
        "water": ("w_c <=> x_c", -1000, 1000),
        "growth": ("2 b_c --> waste_c", 0, 1000),
    }
    for name, (equation, lower, upper) in equations.items():
        reaction = cobra.Reaction(name)
        model.add_reactions([reaction])
        reaction.build_reaction_from_string(equation)
        reaction.bounds = lower, upper
    # Water and protons cost and yield nothing here.
    for name in ("EX_w", "EX_x"):
        exchange = cobra.Reaction(name, lower_bound=-1000, upper_bound=1000)
        exchange.add_metabolites({model.metabolites.get_by_id(f"{name[-1]}_c"): -1})
        model.add_reactions([exchange])
    model.objective = "growth"
    return model


@pytest.fixture
def toy_file(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("BIOPPO_CACHE", str(tmp_path / "cache"))
    save_json_model(toy, tmp_path / "toy.json")
    return tmp_path / "toy.json"


def names(network):
    return [reaction.name for reaction in network.reactions]


def test_reactions_at_rest_are_removed_and_named(toy):
    model = read_cobra_network(toy)
    # Either way from a to b is an optimum of least total flux; the network holds what the optimum uses.
    assert {"uptake", "growth"} < set(names(model.network)) <= {"uptake", "swap", "detour", "growth"}
    assert model.removed["they move no variable species"] == ["water"]
    assert {"back", "dead_end"} <= set(model.removed["they are at rest"])
    assert model.reference["growth"] == pytest.approx(5.0)
    assert model.directions["uptake"] == 1


def test_the_optimum_does_without_what_is_left_out(toy):
    toy.reactions.swap.upper_bound = 0
    model = read_cobra_network(toy, left_out=["swap"])
    assert names(model.network) == ["uptake", "detour", "growth"]
    assert model.reference["growth"] == pytest.approx(1.0)
    assert toy.reactions.swap.lower_bound == -1000


def test_species_without_a_balance(toy):
    network = read_cobra_network(toy, fluxes={"uptake": 5, "swap": -5, "growth": 2.5}).network
    assert network.variables == ("a_c", "b_c")
    # The medium, what a demand takes away, and protons; water is in no reaction.
    assert network.constants == ("s_e", "waste_c", "x_c")
    swap = network.reactions[names(network).index("swap")]
    assert [(slot.species, slot.parameter) for slot in swap.slots] == [
        ("a_c", "km_product1_swap"),
        ("b_c", "km_substrate1_swap"),
    ]
    assert [(modifier.species, modifier.stoichiometry) for modifier in swap.modifiers] == [("x_c", 2.0)]
    more = read_cobra_network(toy, fluxes={"uptake": 5, "swap": -5, "growth": 2.5}, constants=["b_c"]).network
    assert more.variables == ("a_c",)


def test_what_has_no_thermodynamic_meaning_is_irreversible(toy):
    toy.reactions.detour.annotation["sbo"] = "SBO:0000630"
    network = read_cobra_network(toy, fluxes={"uptake": 5, "detour": 2, "swap": -3, "growth": 2.5}).network
    laws = {reaction.name: reaction.law for reaction in network.reactions}
    assert {name for name, law in laws.items() if law is RateLaw.IRREVERSIBLE} == {"detour", "growth"}
    asked = read_cobra_network(toy, fluxes={"uptake": 5, "swap": -5, "growth": 2.5}, irreversible=["uptake"]).network
    assert not asked.reactions[names(asked).index("uptake")].law.reversible


def test_reactions_at_rest_are_driven_where_they_can_be(toy):
    toy.reactions.swap.upper_bound = 0
    model = read_cobra_network(toy, resting="drive")
    assert set(names(model.network)) == {"uptake", "swap", "detour", "growth"}
    assert model.removed["they cannot carry flux within the model's bounds"] == ["dead_end"]
    assert model.removed["no free energies drive them together with the others"] == ["back"]
    with pytest.raises(KineticInputError, match="resting=wake: give remove or drive"):
        read_cobra_network(toy, resting="wake")


def test_driving_has_a_limit(toy, monkeypatch):
    monkeypatch.setattr(cobra_network, "LARGEST_DRIVEN", 5)
    with pytest.raises(KineticInputError, match="takes at most 5 reactions, the model has 7; give resting=remove"):
        read_cobra_network(toy, resting="drive")


def test_given_fluxes_and_concentrations_are_kept(toy_file):
    fluxes = toy_file.with_name("fluxes.csv")
    fluxes.write_text("reaction,flux\nuptake,4\nswap,-3\ndetour,1\ngrowth,2\nEX_s_e,-4\nback,0\n")
    concentrations = toy_file.with_name("concentrations.csv")
    concentrations.write_text("species,concentration\na_c,2.5\nspare_c,1\n")
    network, state = load_cobra_model(
        toy_file, flux_file=fluxes, concentration_file=concentrations, concentration_unit="mM", flux_scale=0.5
    )
    assert names(network) == ["uptake", "swap", "detour", "growth"]
    np.testing.assert_allclose(state.flux, [2.0, -1.5, 0.5, 1.0], rtol=1e-9)
    assert state.concentration[network.species_index["a_c"]] == 2.5e-3
    assert state.provenance.startswith("toy.json member 0")
    assert "fluxes: 4 given, 0 assumed; free energies: 0 given, 3 assumed; concentrations: 1 given" in state.provenance


def test_sbml_and_json_give_the_same_model(toy, toy_file):
    sbml = toy_file.with_name("toy.xml.gz")
    write_sbml_model(toy, str(sbml))
    fluxes = toy_file.with_name("fluxes.csv")
    fluxes.write_text("reaction,flux\nuptake,4\nswap,-3\ndetour,1\ngrowth,2\n")
    one, other = (load_cobra_model(file, flux_file=fluxes, member=3) for file in (toy_file, sbml))
    assert content_hash(*one) == content_hash(*other)


def test_states_are_kept_on_disk_by_content(toy, toy_file, monkeypatch):
    network, state = load_cobra_model(toy_file, member=1)
    monkeypatch.setattr(cobra_model, "read_cobra_network", None)
    monkeypatch.setattr(cobra_model, "complete_state", None)
    again = load_cobra_model(toy_file, member=1)
    assert content_hash(*again) == content_hash(network, state)
    assert again[1].provenance == state.provenance
    monkeypatch.undo()
    monkeypatch.setenv("BIOPPO_CACHE", str(toy_file.parent / "cache"))
    assert content_hash(*load_cobra_model(toy_file, member=2)) != content_hash(network, state)
    toy.reactions.EX_s_e.lower_bound = -6
    save_json_model(toy, toy_file)
    assert load_cobra_model(toy_file, member=1)[1].flux[0] < state.flux[0]


def test_what_is_left_out_is_logged(toy_file, caplog):
    caplog.set_level(logging.INFO, logger=cobra_model.__name__)
    load_cobra_model(toy_file, left_out=["detour"])
    assert "toy.json: 1 reactions left out because named in left_out: detour" in caplog.text
    assert "because they move no variable species: water" in caplog.text


def test_a_large_network_is_announced(toy_file, caplog, monkeypatch):
    load_cobra_model(toy_file)
    assert "lambda_part" not in caplog.text
    monkeypatch.setattr(cobra_model, "LARGEST_QUICK", 1)
    load_cobra_model(toy_file)
    assert "toy.json: 2 variable species, so that every set of constants takes tenths of a second" in caplog.text


@pytest.mark.parametrize(("resting", "counts"), [("remove", (42, 37, 40)), ("drive", (50, 45, 69))])
def test_the_textbook_model_gets_eigenvalues(resting, counts, tmp_path, monkeypatch):
    monkeypatch.setenv("BIOPPO_CACHE", str(tmp_path))
    file = tmp_path / "textbook.json"
    save_json_model(read_textbook_model(), file)
    network, state = load_cobra_model(file, resting=resting)
    simulator = KineticSimulator(network, state)
    assert (len(network.variables), simulator.n_independent, len(network.reactions)) == counts
    near = simulator.ln_concentration + np.random.default_rng(0).normal(0, 0.5, (20, len(network.parameter_names)))
    assert np.isfinite(simulator.max_eigenvalue(near)).all()
    growth = names(network).index("Biomass_Ecoli_core")
    assert state.flux[growth] / 0.3 == pytest.approx(0.874, rel=0.02)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"constants": ["a_d"]}, "toy: constants names a_d, which the model does not have; did you mean a_c"),
        ({"left_out": ["detor"]}, "toy: left_out names detor, .* did you mean detour"),
        ({"irreversible": ["grwth"]}, "toy: irreversible names grwth, .* did you mean growth"),
        ({"fluxes": {"qqqq": 1.0}}, "toy: fluxes names qqqq, .* leave it out"),
        ({"fluxes": {}}, "toy: no reaction carries flux; check its bounds, objective or flux_file"),
    ],
)
def test_mistakes_are_named(toy, arguments, message):
    with pytest.raises(KineticInputError, match=message):
        read_cobra_network(toy, **arguments)


def test_a_model_without_a_solution_is_named(toy):
    toy.reactions.growth.lower_bound = 500
    with pytest.raises(KineticInputError, match=r"toy: there are no optimal fluxes \(the problem is infeasible\)"):
        read_cobra_network(toy)


def test_fluxes_that_do_not_balance_are_refused(toy_file):
    fluxes = toy_file.with_name("fluxes.csv")
    fluxes.write_text("reaction,flux\nuptake,4\n")
    with pytest.raises(KineticInputError, match=r"no single group of constraints is to blame, check the mass balances"):
        load_cobra_model(toy_file, flux_file=fluxes)
    fluxes.write_text("reaction,flux\nuptake,4\ndetour,5\nback,1\ngrowth,2\n")
    with pytest.raises(KineticInputError, match="a solution exists without the given directions, free some of them"):
        load_cobra_model(toy_file, flux_file=fluxes)
    fluxes.write_text("reaction,flux\nuptake,4\nswap,-4\ngrowth,-2\n")
    with pytest.raises(KineticInputError, match=r"the flux of growth is -2 mmol/gDW/h, but its law is irreversible"):
        load_cobra_model(toy_file, flux_file=fluxes)


def test_an_unknown_species_in_a_table_is_refused(toy_file):
    table = toy_file.with_name("table.csv")
    table.write_text("species,concentration\nb_d,1\n")
    with pytest.raises(KineticInputError, match=r"table.csv names b_d, .* did you mean b_c"):
        load_cobra_model(toy_file, concentration_file=table, concentration_unit="mM")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.pickle", "a pickle can run any code when it is read; save the model as SBML or JSON"),
        ("model.mat", r"give a model in SBML \(.xml, .*\) or cobra's JSON"),
        ("none.xml", "there is no such file; give the path of a model"),
        ("broken.json", r"broken.json: cobra cannot read it \(.*\); give a valid SBML or JSON model"),
        ("broken.xml", r"broken.xml: cobra cannot read it \(.*\); give a valid SBML or JSON model"),
    ],
)
def test_files_that_are_no_models_are_refused(tmp_path, name, message):
    if name != "none.xml":
        (tmp_path / name).write_text("{")
    for read in (read_cobra_file, load_cobra_model):
        with pytest.raises(KineticInputError, match=message):
            read(tmp_path / name)


def test_a_missing_cobra_is_named(toy_file, monkeypatch):
    real_import = builtins.__import__

    def without_cobra(name, *arguments, **keywords):
        if name.startswith("cobra"):
            raise ImportError(name)
        return real_import(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without_cobra)
    with pytest.raises(KineticInputError, match=r"toy\.json is read with cobra: install the package cobra"):
        read_cobra_file(toy_file)


def test_a_package_that_is_not_installed_is_named(toy_file, monkeypatch):
    def missing(name):
        raise cobra_model.PackageNotFoundError(name)

    monkeypatch.setattr(cobra_model, "version", missing)
    with pytest.raises(KineticInputError, match="needs the package cobra: install it"):
        load_cobra_model(toy_file)


def test_a_given_flux_against_all_free_energies_moves(toy, toy_file):
    toy.reactions.dead_end.build_reaction_from_string("a_c <=> b_c")
    save_json_model(toy, toy_file)
    fluxes = toy_file.with_name("fluxes.csv")
    fluxes.write_text("reaction,flux\nuptake,4\ndetour,5\ndead_end,-1\ngrowth,2\n")
    _, state = load_cobra_model(toy_file, flux_file=fluxes)
    assert (state.flux > 0).all()
    assert "1 given but moved" in state.provenance or "2 given but moved" in state.provenance
