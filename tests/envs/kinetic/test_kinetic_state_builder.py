import numpy as np
import pytest

from bioppo.envs.kinetic.errors import KineticInputError
from bioppo.envs.kinetic.network import Network, RateLaw, Reaction, Slot, stoichiometric_matrix
from bioppo.envs.kinetic.sources.skimpy_yaml import read_skimpy_model
from bioppo.envs.kinetic.sources.state_builder import complete_state
from bioppo.envs.kinetic.sources.thermodynamics import DirectionProblem, drivable_reactions
from bioppo.envs.kinetic.sources.value_table import read_concentrations, read_values
from bioppo.envs.kinetic.steady_state import content_hash


def reaction(name, *slots, law=RateLaw.CONVENIENCE):
    made = []
    for number, (species, stoichiometry) in enumerate(slots):
        needed = law.reversible or stoichiometry < 0
        made.append(Slot(f"slot{number}", species, stoichiometry, f"km_{species}_{name}" if needed else None))
    return Reaction(name, law, tuple(made))


def chain(*more, growth=1.0):
    """Two ways from a source to growth: a -> b at once, and through c."""
    reactions = (
        reaction("feed", ("source", -1.0), ("a", 1.0)),
        reaction("direct", ("a", -1.0), ("b", 1.0)),
        reaction("first", ("a", -1.0), ("c", 1.0)),
        reaction("second", ("c", -1.0), ("b", 1.0)),
        reaction("growth", ("b", -growth), law=RateLaw.IRREVERSIBLE),
    )
    return Network(("a", "b", "c"), ("source",), reactions + more)


def by_name(network, values):
    return dict(zip((item.name for item in network.reactions), values, strict=True))


def test_consistent_values_are_kept_and_the_others_are_named():
    network = chain()
    state, origin = complete_state(
        network,
        fluxes={"feed": 5.0, "first": 2.0},
        concentrations={"b": 2e-3, "source": 0.01},
        free_energies={"direct": -7.0, "first": -3.0},
    )
    flux = by_name(network, state.flux / 0.3)
    assert flux == pytest.approx({"feed": 5.0, "direct": 3.0, "first": 2.0, "second": 2.0, "growth": 5.0}, rel=1e-9)
    energy = by_name(network, state.ln_displacement)
    assert (energy["direct"], energy["first"], energy["second"]) == pytest.approx((-7.0, -3.0, -4.0))
    assert energy["growth"] == -np.inf
    assert state.concentration[[1, 3]].tolist() == [2e-3, 0.01]
    assert (origin.fluxes.given, origin.fluxes.assumed) == (("feed", "first"), ("direct", "second", "growth"))
    assert (origin.free_energies.given, origin.free_energies.assumed) == (("direct", "first"), ("feed", "second"))
    assert (origin.concentrations.given, origin.concentrations.assumed) == (("b", "source"), ("a", "c"))
    assert origin.fluxes.moved == origin.free_energies.moved == origin.concentrations.moved == ()
    assert (
        "fluxes: 2 given, 3 assumed; free energies: 2 given, 2 assumed; concentrations: 2 given, 2 assumed; "
        "assumed values are no measurements" in state.provenance
    )


def test_inconsistent_values_move_and_are_named():
    network = chain()
    state, origin = complete_state(
        network, fluxes={"feed": 5.0, "growth": 4.0}, free_energies={"direct": -7.0, "first": -3.0, "second": -9.0}
    )
    flux = by_name(network, state.flux / 0.3)
    # Lowering 5 by 1 costs 1/6, lifting 4 costs 1/5; one of three energies around the loop has to give way.
    assert flux["feed"] == pytest.approx(4.0)
    assert (origin.fluxes.given, origin.fluxes.moved) == (("growth",), ("feed",))
    assert (len(origin.free_energies.given), len(origin.free_energies.moved)) == (2, 1)
    assert "1 given, 1 given but moved, 3 assumed" in state.provenance


def test_a_given_sign_that_no_state_has_gives_way():
    """Backwards through c is a loop without a driving force, so the flux moves to the other direction."""
    network = chain()
    state, origin = complete_state(network, fluxes={"feed": 5.0, "first": -1.0})
    assert by_name(network, state.flux)["first"] > 0
    assert origin.fluxes.moved == ("first",)
    with pytest.raises(KineticInputError, match="without the given directions, free some of them"):
        complete_state(network, directions={"feed": 1, "first": -1})


def test_signs_of_free_energies_decide_free_directions():
    network = Network(
        ("a", "b"),
        ("one", "two", "three"),
        (
            reaction("in", ("one", -1.0), ("a", 1.0)),
            reaction("between", ("a", -1.0), ("b", 1.0)),
            reaction("out", ("b", -1.0), ("two", 1.0)),
            reaction("a_out", ("a", -1.0), ("three", 1.0)),
            reaction("b_in", ("three", -1.0), ("b", 1.0)),
        ),
    )
    for sign in (1.0, -1.0):
        state, origin = complete_state(network, free_energies={"in": -4.0 * sign, "between": -2.0 * sign})
        flux = by_name(network, state.flux)
        assert flux["in"] * sign > 0
        assert flux["between"] * sign > 0
        assert origin.free_energies.given == ("in", "between")
    state, _ = complete_state(network, directions={"out": -1})
    assert by_name(network, state.flux)["out"] < 0


def test_members_share_what_is_known():
    network = chain()
    known = {"fluxes": {"feed": 5.0}, "concentrations": {"a": 1e-3}, "free_energies": {"direct": -2.0}}
    states = [complete_state(network, member=member, **known)[0] for member in (0, 1, 1)]
    assert content_hash(network, states[1]) == content_hash(network, states[2]) != content_hash(network, states[0])
    for state in states:
        assert by_name(network, state.flux)["feed"] == pytest.approx(1.5)
        assert by_name(network, state.ln_displacement)["direct"] == pytest.approx(-2.0)
        assert state.concentration[0] == 1e-3


def test_reference_fluxes_are_assumed():
    network = chain()
    reference = {"feed": 5.0, "direct": 4.0, "first": 1.0, "second": 1.0, "growth": 5.0}
    state, origin = complete_state(network, reference=reference, flux_scale=1.0)
    assert by_name(network, state.flux) == pytest.approx(reference, rel=1e-9)
    assert origin.fluxes.given == ()
    assert len(origin.fluxes.assumed) == 5


def test_large_coefficients_do_not_decide_what_is_steady():
    network = chain(growth=3.5e7)
    state, origin = complete_state(network, fluxes={"feed": 5.0})
    assert by_name(network, state.flux / 0.3)["growth"] == pytest.approx(5.0 / 3.5e7, rel=1e-9)
    assert origin.fluxes.given == ("feed",)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fluxes": {"fed": 1.0}}, "fluxes names the reaction fed, which the network does not have; did you mean feed"),
        ({"fluxes": {"zzz": 1.0}}, "names the reaction zzz, which the network does not have; leave it out"),
        ({"concentrations": {"sauce": 1.0}}, "concentrations names the species sauce, .* did you mean source"),
        ({"free_energies": {"firts": 1.0}}, "free_energies names the reaction firts, .* did you mean first"),
        ({"directions": {"grow": 1}}, "directions names the reaction grow, .* did you mean growth"),
        ({"directions": {"first": 2}}, "directions gives first 2; give 1 or -1"),
        ({"directions": {"first": "forward"}}, "directions gives first forward; give a finite number"),
        ({"directions": {"first": 0}}, "directions gives first 0; give 1 or -1"),
        ({"directions": {"growth": -1}}, "irreversible reaction growth -1; swap its substrates and products"),
        ({"fluxes": {"feed": float("nan")}}, "fluxes gives feed nan; give a finite number"),
        ({"fluxes": {"growth": -1.0}}, "the flux of growth is -1 mmol/gDW/h, but its law is irreversible; swap"),
        ({"concentrations": {"a": 0.0}}, "the concentration of a is 0 mol/L; .* check concentration_unit"),
        ({"concentrations": {"a": 11.0}}, "the concentration of a is 11 mol/L; .* check concentration_unit"),
        ({"smallest_flux": 0.0}, r"smallest_flux \(eps\) is 0; give a number greater than 0"),
        ({"flux_scale": -1.0}, "flux_scale is -1; give a number greater than 0"),
        ({"member": -1}, "member=-1: give a number of at least 0"),
        ({"smallest_flux": 59.0}, "a solution exists with smaller smallest fluxes"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(KineticInputError, match=message):
        complete_state(chain(), **arguments)


def test_undrivable_reactions_are_found():
    """A ring a -> b -> c -> a and a way through it; each reaction in one direction only."""
    network = chain(reaction("back", ("b", -1.0), ("a", 1.0)))
    matrix = stoichiometric_matrix(network)
    n_reactions = len(network.reactions)
    problem = DirectionProblem(
        matrix,
        np.arange(len(network.species)) < len(network.variables),
        np.zeros(n_reactions),
        np.full(n_reactions, 0.1),
        np.ones(n_reactions),
        network.reversible,
    )
    optional = np.array([False, True, True, True, False, True])
    np.testing.assert_array_equal(drivable_reactions(problem, optional), [True, True, True, True, True, False])
    with pytest.raises(KineticInputError, match="without the given directions, free some of them"):
        drivable_reactions(problem, np.zeros(n_reactions, dtype=bool))


def test_tables_are_read(tmp_path):
    file = tmp_path / "values.csv"
    file.write_text("note,reaction,flux\nx,PGI,4.5\ny,PFK,-1e-3\n")
    assert read_values(file, "reaction", "flux") == {"PGI": 4.5, "PFK": -1e-3}
    file.write_text("species,concentration\natp_c,3\n")
    assert read_concentrations(file, "mM") == {"atp_c": pytest.approx(3e-3)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("reaction,value\nPGI,1\n", "has the columns reaction, value; its first line must name reaction and flux"),
        ("", r"has the columns \(none\)"),
        ("reaction,flux\nPGI,1\nPGI,2\n", "row 3: PGI is given twice"),
        ("reaction,flux\nPGI,fast\n", "row 2: the flux of PGI is 'fast'; give a number"),
        ("reaction,flux\nPGI,nan\n", "row 2: the flux of PGI is 'nan'; give a number"),
        ("reaction,flux\nPGI\n", "row 2: the flux of PGI is None; give a number"),
    ],
)
def test_mistakes_in_tables_are_named(tmp_path, text, message):
    file = tmp_path / "values.csv"
    file.write_text(text)
    with pytest.raises(KineticInputError, match=message):
        read_values(file, "reaction", "flux")


def test_a_missing_table_and_a_missing_unit_are_named(tmp_path):
    with pytest.raises(KineticInputError, match=r"none\.csv cannot be read .*; give a CSV file"):
        read_values(tmp_path / "none.csv", "reaction", "flux")
    with pytest.raises(KineticInputError, match=r"concentration_unit=None: give the unit of .*, one of M, mM, uM, nM"):
        read_concentrations(tmp_path / "none.csv", None)


def published_state(file, network):
    """Return what a row of a table says of the network's reactions and species."""
    header, cells = (line.split(",") for line in file.read_text().splitlines()[:2])
    row = {name: float(cell) for name, cell in zip(header[1:], cells[1:], strict=True)}
    reverse = {name.split("_reverse_")[0]: value for name, value in row.items() if "_reverse_" in name}
    names = [item.name for item in network.reactions]
    species = {name.lstrip("_").replace("_L_", "-L_").replace("_D_", "-D_"): name for name in network.species}
    return {
        "fluxes": {name: row[name] - reverse[name] for name in names if name in reverse},
        "concentrations": {full: np.exp(row[f"LC_{short}"]) for short, full in species.items() if f"LC_{short}" in row},
        "free_energies": {name: row[f"LnGamma_{name}"] for name in names if f"LnGamma_{name}" in row},
    }


def test_the_published_network_is_completed_from_a_published_state(public_data):
    network = read_skimpy_model(public_data("kinetic/kin_varma_curated.yaml")).network
    known = published_state(public_data("kinetic/samples_fdp1.csv"), network)
    assert len(known["fluxes"]) == 62
    state, origin = complete_state(network, smallest_flux=0.02, **known)
    flux = by_name(network, state.flux)
    assert all(flux[name] * value > 0 for name, value in known["fluxes"].items())
    assert len(origin.fluxes.given) >= 20
    assert len(origin.free_energies.given) >= 40
    assert (len(origin.concentrations.given), len(origin.concentrations.moved)) == (len(known["concentrations"]), 0)
