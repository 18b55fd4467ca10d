import json
import pickle

import numpy as np
import pytest

from bioppo.envs.kinetic.errors import KineticInputError
from bioppo.envs.kinetic.network import Network, RateLaw, Reaction, Slot
from bioppo.envs.kinetic.simulator import KineticSimulator
from bioppo.envs.kinetic.sources.skimpy_yaml import read_skimpy_model
from bioppo.envs.kinetic.sources.state_table import read_computed_state, read_row, read_states, row_names

NETWORK = Network(
    ("_2pg_c", "b_c"),
    ("glc_D_e", "sink"),
    (
        Reaction(
            "D-UP",
            RateLaw.CONVENIENCE,
            (Slot("substrate", "glc_D_e", -1.0, "k1"), Slot("product", "_2pg_c", 1.0, "k2")),
        ),
        Reaction(
            "TURN", RateLaw.CONVENIENCE, (Slot("substrate", "b_c", -1.0, "k3"), Slot("product", "_2pg_c", 1.0, "k4"))
        ),
        Reaction("OUT", RateLaw.IRREVERSIBLE, (Slot("substrate", "b_c", -1.0, "k5"),)),
    ),
)
ROW = {
    "D-UP": "3.0",
    "D-UP_reverse_0a1b2": "1.0",
    "TURN": "0",
    "TURN_reverse_fff00": "2",
    "OUT": "2",
    "EX_other": "",
    "LC_2pg_c": "-7",
    "LC_b-c": "-8.5",
    "LC_glc-D_e": "-2",
    "LC_sink": "-3",
    "LC_h2o": "0",
    "DG_D-UP": "-1.1849",
    "LnGamma_TURN": "0.25",
    "DG_TURN": "5",
}


def table(folder, *rows, drop=()):
    header = [name for name in ROW if name not in drop]
    lines = [",".join(["", *header])]
    lines += [",".join([name, *(({**ROW, **row})[key] for key in header)]) for name, row in rows]
    path = folder / "states.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_row_becomes_a_state_in_the_networks_order_and_units(tmp_path):
    path = table(tmp_path, ("first", {"D-UP": "nonsense"}), ("second", {}))
    assert row_names(path) == ["first", "second"]
    (state,) = read_states(path, NETWORK, rows=["second"], flux_scale=0.5)
    np.testing.assert_array_equal(state.flux, [1.0, -1.0, 1.0])
    # RT at 298.15 K is 0.592485 kcal/mol; LnGamma goes before DG.
    np.testing.assert_allclose(state.ln_displacement, [-1.1849 / 0.592485, 0.25, -np.inf], rtol=1e-6)
    np.testing.assert_allclose(state.concentration, np.exp([-7, -8.5, -2, -3]), rtol=1e-15)
    assert state.provenance == f"{path} row second"


def test_rows_are_chosen_by_name_or_position_in_any_order(tmp_path):
    path = table(tmp_path, *((str(number), {"LC_sink": f"-{number}"}) for number in (7, 5, 6)))
    states = read_states(path, NETWORK, rows=[2, "7", 0])
    np.testing.assert_allclose([np.log(state.concentration[3]) for state in states], [-6, -7, -7])
    assert states[0].flux[0] == pytest.approx(0.6)


def test_one_row_is_given_as_text(tmp_path):
    header, cells = read_row(table(tmp_path, ("first", {}), ("second", {"OUT": "?"})), "second")
    assert dict(zip(header, cells, strict=True)) == {"": "second", **ROW, "OUT": "?"}


def test_net_fluxes_need_no_reverse_columns(tmp_path):
    path = table(tmp_path, ("net", {"D-UP": "2", "TURN": "-2"}), drop=("D-UP_reverse_0a1b2", "TURN_reverse_fff00"))
    np.testing.assert_allclose(read_states(path, NETWORK, rows=[0])[0].flux, [0.6, -0.6, 0.6])


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"D-UP": "1.0"}, "row r: the flux of D-UP is 0 mol/L/h; give a finite flux"),
        ({"D-UP": "nan"}, "row r: the flux of D-UP is nan"),
        ({"D-UP": ""}, "row r: D-UP is ''; give a number"),
        ({"D-UP": "3.1"}, "row r: the state is not steady, _2pg_c changes by 0.0244 of its turnover"),
        ({"OUT": "-2"}, "row r: the flux of OUT is -0.6 mol/L/h, but its law is irreversible"),
        (
            {"LnGamma_TURN": "-0.25"},
            "row r: reaction TURN has the flux -0.6 mol/L/h and the displacement dG/RT = -0.25",
        ),
        ({"LnGamma_TURN": "0"}, "reaction TURN has the flux -0.6 mol/L/h and the displacement dG/RT = 0; give them"),
        (
            {"LC_2pg_c": "3"},
            "row r: the concentration of _2pg_c is 20.0855 mol/L; give a value between 0 and 10, check",
        ),
        ({"LC_2pg_c": "-inf"}, "row r: the concentration of _2pg_c is 0 mol/L"),
        ({"LC_2pg_c": "9e9"}, "row r: the concentration of _2pg_c is inf mol/L"),
        ({"LC_2pg_c": "low"}, "row r: LC_2pg_c is 'low'; give a number"),
    ],
)
def test_a_row_that_is_no_state_is_refused(tmp_path, row, sentence):
    path = table(tmp_path, ("r", row))
    with pytest.raises(KineticInputError) as error:
        read_states(path, NETWORK, rows=["r"])
    assert str(error.value).startswith(str(path))
    assert sentence in str(error.value)


def test_missing_columns_are_counted_and_named(tmp_path):
    path = table(tmp_path, ("r", {}), drop=("OUT", "LC_b-c", "DG_D-UP"))
    with pytest.raises(
        KineticInputError, match="3 needed entries are missing, OUT, LC_b_c, LnGamma_D-UP; give columns <"
    ):
        read_states(path, NETWORK, rows=[0])
    path = table(tmp_path, ("r", {}), drop=[name for name in ROW if name != "OUT"])
    with pytest.raises(KineticInputError, match="8 needed entries are missing, D-UP, TURN, LC__2pg_c, "):
        read_states(path, NETWORK, rows=[0])


def test_ten_of_many_missing_columns_are_named(tmp_path):
    reactions = tuple(
        Reaction(f"R{number}", RateLaw.IRREVERSIBLE, (Slot("substrate", "b_c", -1.0, f"k{number}"),))
        for number in range(12)
    )
    network = Network(("b_c",), (), reactions)
    with pytest.raises(KineticInputError) as error:
        read_states(table(tmp_path, ("r", {})), network, rows=[0])
    named = ", ".join(f"R{number}" for number in range(10))
    assert f"states.csv: 12 needed entries are missing, {named} and others; give columns <reaction>" in str(error.value)


@pytest.mark.parametrize("row", ["third", 2, -1])
def test_a_missing_row_names_those_there_are(tmp_path, row):
    path = table(tmp_path, ("first", {}), ("second", {}))
    with pytest.raises(KineticInputError) as error:
        read_states(path, NETWORK, rows=[0, row])
    assert f"has no row {row!r}; give one of the 2 names (first, second) or a position from 0 to 1." in str(error.value)


def test_other_tables_are_refused(tmp_path):
    path = table(tmp_path, ("twin", {}), ("twin", {}))
    with pytest.raises(KineticInputError, match=r"states\.csv: has two rows twin; give the position of one"):
        read_states(path, NETWORK, rows=["twin"])
    with pytest.raises(KineticInputError, match="flux_scale=0: give a finite number greater than 0"):
        read_states(path, NETWORK, rows=[0], flux_scale=0.0)
    with pytest.raises(KineticInputError, match=r"nowhere\.csv: No such file or directory; give the path of a table"):
        read_states(tmp_path / "nowhere.csv", NETWORK, rows=[0])
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(KineticInputError, match=r"empty\.csv: is empty; give a table with a header"):
        row_names(tmp_path / "empty.csv")
    (tmp_path / "pickle.csv").write_bytes(pickle.dumps(np.arange(300)))
    with pytest.raises(KineticInputError, match=r"pickle\.csv: is no table of text, and pickles are refused"):
        row_names(tmp_path / "pickle.csv")


COMPUTED = {
    "reaction_names": ["OUT", "D-UP", "TURN"],
    "flux": [1.0, 1.0, -1.0],
    "ln_displacement": [None, -2.0, 0.5],
    "concentration": {"b_c": 1e-4, "_2pg_c": 1e-3, "sink": 1e-2, "glc_D_e": 0.1},
}


def computed(folder, **changes):
    path = folder / "state.json"
    path.write_text(json.dumps(COMPUTED | changes))
    return path


def test_a_computed_state_is_labelled(tmp_path):
    state = read_computed_state(computed(tmp_path), NETWORK)
    np.testing.assert_array_equal(state.flux, [1.0, -1.0, 1.0])
    np.testing.assert_array_equal(state.ln_displacement, [-2.0, 0.5, -np.inf])
    np.testing.assert_array_equal(state.concentration, [1e-3, 1e-4, 0.1, 1e-2])
    assert "state=computed" in state.provenance


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"flux": [1.0]},
            "is no computed state; give JSON with reaction_names, flux and ln_displacement of equal length",
        ),
        ({"concentration": 3}, "is no computed state"),
        (
            {"reaction_names": ["OUT", "UP", "TURN"], "concentration": {}},
            "5 needed entries are missing, D-UP, _2pg_c, b_c, glc_D_e, sink; give each reaction",
        ),
        ({"flux": ["x", 1.0, -1.0]}, "a flux, displacement or concentration is no number"),
        (
            {"ln_displacement": [None, None, 0.5]},
            "reaction D-UP has the flux 1 mol/L/h and the displacement dG/RT = nan",
        ),
        ({"flux": [1.0, 1.0, -2.0]}, "(state=computed): the state is not steady, _2pg_c changes"),
    ],
)
def test_a_computed_state_that_does_not_fit_is_refused(tmp_path, changes, sentence):
    path = computed(tmp_path, **changes)
    with pytest.raises(KineticInputError) as error:
        read_computed_state(path, NETWORK)
    assert str(error.value).startswith(str(path))
    assert sentence in str(error.value)


def test_files_that_are_no_json_are_refused(tmp_path):
    with pytest.raises(KineticInputError, match=r"nowhere\.json: No such file or directory; give"):
        read_computed_state(tmp_path / "nowhere.json", NETWORK)
    (tmp_path / "state.json").write_bytes(pickle.dumps(COMPUTED))
    with pytest.raises(KineticInputError, match=r"state\.json: is no computed state"):
        read_computed_state(tmp_path / "state.json", NETWORK)


def test_the_two_published_rows_are_one_state(public_data):
    model = read_skimpy_model(public_data("kinetic/varma_strain_1.yml"))
    path = public_data("kinetic/tfa_reference_strains.csv")
    assert row_names(path) == ["strain_1", "strain_2"]
    one, other = read_states(path, model.network, rows=["strain_1", 1])
    np.testing.assert_allclose(one.flux, other.flux, rtol=1e-9)
    np.testing.assert_allclose(one.concentration, other.concentration, rtol=1e-9)
    scaled = read_states(path, model.network, rows=[0], flux_scale=0.6)[0]
    ln_km = np.random.default_rng(0).uniform(-12, -3, (2, len(model.network.parameter_names)))
    expected = 2 * KineticSimulator(model.network, one).max_eigenvalue(ln_km)
    np.testing.assert_allclose(KineticSimulator(model.network, scaled).max_eigenvalue(ln_km), expected, rtol=1e-6)


def test_samples_of_another_network_lack_columns(public_data):
    model = read_skimpy_model(public_data("kinetic/kin_varma_curated.yaml"))
    path = public_data("kinetic/samples_fdp1.csv")
    with pytest.raises(
        KineticInputError, match=r"168 needed entries are missing, ACALDtex, ACtex, .* and others; give"
    ):
        read_states(path, model.network, rows=[0])
