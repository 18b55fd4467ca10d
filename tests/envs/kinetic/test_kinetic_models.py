"""Every choice of ``model``: published files by path or from the cache, starts, orders and mistakes."""

import inspect
import json
import shutil

import numpy as np
import pytest

from bioppo import UserError
from bioppo.cli.main import main
from bioppo.datasets.catalogue import data_set
from bioppo.datasets.download import get
from bioppo.envs.kinetic.config import KineticConfig
from bioppo.envs.kinetic.environment import KineticVectorEnv
from bioppo.envs.kinetic.errors import KineticInputError
from bioppo.envs.kinetic.network import Network, RateLaw, Reaction, Slot
from bioppo.envs.kinetic.populations import write_population
from bioppo.envs.kinetic.simulator import KineticSimulator
from bioppo.envs.kinetic.sources import models
from bioppo.envs.kinetic.sources.cobra_model import load_cobra_model
from bioppo.envs.kinetic.sources.known_values import read_known_values
from bioppo.envs.kinetic.sources.models import COMPUTED_STATE, load_starts, load_states, parameter_order
from bioppo.envs.kinetic.steady_state import content_hash
from bioppo.envs.kinetic.task import load_task

PUBLISHED_BOX = {"param": "ln_km", "low": -25.0, "high": 3.0, "lambda_part": -2.5}


@pytest.fixture
def renaissance(public_data):
    return {"model": "renaissance384", "model_file": str(public_data("kinetic/kin_varma_curated.yaml"))}


@pytest.fixture
def varma(public_data):
    return {
        "model": "varma",
        "model_file": str(public_data("kinetic/varma_strain_1.yml")),
        "state_file": str(public_data("kinetic/tfa_reference_strains.csv")),
    }


@pytest.fixture
def placed(public_data, tmp_path, monkeypatch):
    """Return a function that puts a data set's files below a folder of this test's own."""
    monkeypatch.setenv("BIOPPO_CACHE", str(tmp_path / "cache"))

    def place(name, folder):
        (tmp_path / folder / name).mkdir(parents=True)
        for file in data_set(name).files:
            shutil.copy(public_data(f"kinetic/{file.name}"), tmp_path / folder / name)
        return tmp_path / folder

    return place


def make(**options):
    return KineticVectorEnv(KineticConfig(**options), num_envs=2, seed=0)


def test_members_of_the_core_model_are_loaded_by_number(cache):
    network, (first, second) = load_states(KineticConfig(), [0, 1])
    assert (len(network.variables), len(network.parameter_names)) == (50, 258)
    assert content_hash(network, first) != content_hash(network, second)
    assert parameter_order(KineticConfig(), network) is None
    assert load_starts(KineticConfig(), network) is None


def test_the_flux_scale_scales_every_model(renaissance):
    for options in ({}, renaissance):
        lambda_max = []
        for scale in (0.3, 0.6):
            network, (state,) = load_states(KineticConfig(**options, flux_scale=scale), [0])
            simulator = KineticSimulator(network, state)
            sets = simulator.ln_concentration + np.random.default_rng(0).logistic(
                size=(5, len(network.parameter_names))
            )
            lambda_max.append(simulator.max_eigenvalue(sets))
        np.testing.assert_allclose(lambda_max[1], 2 * lambda_max[0], rtol=1e-6)
        assert state.provenance.endswith("with flux_scale=0.6")


def test_a_cobra_model_is_loaded_with_all_its_options(monkeypatch):
    seen = {}
    monkeypatch.setattr(models, "load_cobra_model", lambda path, **options: seen.update(path=path, **options) or (1, 2))
    config = KineticConfig(
        model="cobra",
        model_file="m.xml",
        flux_file="f.csv",
        concentration_file="c.csv",
        concentration_unit="mM",
        constants=["a"],
        left_out=["b"],
        irreversible=["c"],
        directions={"d": 1},
        resting="drive",
        smallest_flux=0.1,
        flux_scale=0.5,
    )
    assert load_states(config, [3]) == (1, [2])
    assert seen.keys() == inspect.signature(load_cobra_model).parameters.keys()
    assert seen.pop("path") == "m.xml"
    assert seen.pop("member") == 3
    assert seen == {name: getattr(config, name) for name in seen}


def test_files_by_path_and_published_files_are_the_same_model(renaissance, varma, placed, monkeypatch):
    placed("kinetic_renaissance", "cache/data")
    mirror = placed("kinetic_varma", "mirror")
    monkeypatch.setenv("BIOPPO_DATA_MIRROR", mirror.as_uri())
    get("kinetic_varma")
    for options in (renaissance, varma):
        network, (state,) = load_states(KineticConfig(**options), [0])
        published, (found,) = load_states(KineticConfig(model=options["model"]), [0])
        assert content_hash(published, found) == content_hash(network, state)
        as_skimpy = {"state_file": str(COMPUTED_STATE)} | options | {"model": "skimpy"}
        same, (again,) = load_states(KineticConfig(**as_skimpy), [0])
        assert content_hash(same, again) == content_hash(network, state)


def test_the_computed_state_is_called_so(renaissance):
    network, states = load_states(KineticConfig(**renaissance), [0])
    assert [state.provenance for state in states] == [f"{COMPUTED_STATE} (state=computed)"]
    environment = make(**renaissance, lambda_part=-2.5)
    assert environment.facts()["steady_states"] == [states[0].provenance]
    assert environment.facts()["steady_state_hash"] == content_hash(network, states[0])


def test_the_published_order_and_inert_constants_can_be_chosen(renaissance):
    golden = json.loads(COMPUTED_STATE.read_text())
    published = make(**renaissance, lambda_part=-2.5, order="renaissance").task.parameters
    assert list(published.names) == golden["km_names_renaissance_order"]
    network = load_states(KineticConfig(**renaissance), [0])[0]
    assert [network.parameter_names[index] for index in published.index] == list(published.names)
    acting = make(**renaissance, lambda_part=-2.5, include_inert=False, order="renaissance")
    assert (acting.n_parameters, published.index.size) == (358, 384)
    inert = set(golden["km_names_inert"])
    assert list(acting.task.parameters.names) == [name for name in published.names if name not in inert]


def test_the_stored_set_of_a_strain_is_a_start(varma):
    environment = make(**varma, **PUBLISHED_BOX, start="file", horizon=1)
    environment.reset(seed=0)
    *_, info = environment.step(np.zeros((2, 251)))
    np.testing.assert_allclose(info["lambda_max"], -13.1004519, rtol=1e-6)
    # A box of ln(K/x) from -6 to 6 cuts some of the stored constants off.
    clipped = make(**varma, lambda_part=-2.5, start="file", horizon=1)
    clipped.reset(seed=0)
    *_, info = clipped.step(np.zeros((2, 251)))
    assert (np.abs(info["lambda_max"] + 13.1004519) > 1e-3).all()


def store(path, names, ln_km):
    write_population(path, names=names, ln_km=ln_km, lambda_max=np.full(len(ln_km), -1.0), metadata={})


def test_starts_are_drawn_from_a_file(tmp_path, golden_network):
    names = golden_network.parameter_names
    sets = np.random.default_rng(0).uniform(-12, -3, (3, len(names)))
    store(tmp_path / "sets.npz", names[::-1], sets[:, ::-1])
    options = {"param": "ln_km", "low": -25.0, "high": 3.0, "lambda_part": -20.0, "start": "file"}
    environment = KineticVectorEnv(KineticConfig(**options, start_file=str(tmp_path / "sets.npz")), num_envs=20, seed=0)
    environment.reset(seed=0)
    drawn = environment.state["parameters"]
    assert len(np.unique(drawn, axis=0)) == 3
    assert all(np.isclose(sets, row).all(axis=1).any() for row in drawn)
    store(tmp_path / "few.npz", names[1:], sets[:, 1:])
    with pytest.raises(KineticInputError, match=r"few\.npz: the model has 258 Michaelis constants and the file 257, w"):
        make(**options, start_file=str(tmp_path / "few.npz"))


def test_the_mutant_is_told_from_its_state(varma, public_data):
    mutant = varma | {"model_file": str(public_data("kinetic/varma_strain_2.yml"))}
    with pytest.warns(UserWarning, match=r"varma_strain_2\.yml: 1 stored vmax do not fit .* strain_2 \(GAPD 2x"):
        load_states(KineticConfig(**mutant), ["strain_2"])
    _, (state,) = load_states(KineticConfig(**varma), ["strain_1"])  # no warning
    assert state.provenance.endswith("tfa_reference_strains.csv row strain_1")


def test_an_incomplete_row_is_completed(renaissance, public_data):
    samples = public_data("kinetic/samples_fdp1.csv")
    options = renaissance | {"state_file": str(samples)}
    with pytest.raises(KineticInputError, match="168 needed entries are missing"):
        load_states(KineticConfig(**options), [0])
    network, (state,) = load_states(KineticConfig(**options, complete=True, smallest_flux=0.02), [0])
    assert state.provenance.startswith(f"{samples} row 0 member 0 (computed with")
    assert "concentrations: 64 given, 48 assumed" in state.provenance
    known = read_known_values(samples, network, row=0)
    assert (len(known.flux), len(known.concentration)) == (62, 64)
    position = network.species_index
    for species, value in known.concentration.items():
        assert state.concentration[position[species]] == pytest.approx(value, rel=1e-12)
    flux = dict(zip((reaction.name for reaction in network.reactions), state.flux, strict=True))
    assert all(flux[name] * value > 0 for name, value in known.flux.items())


NETWORK = Network(
    ("_2pg_c", "b_c"),
    ("glc_D_e", "sink"),
    tuple(
        Reaction(
            name, RateLaw.CONVENIENCE, (Slot("s", "b_c", -1.0, f"km_s_{name}"), Slot("p", "sink", 1.0, f"p_{name}"))
        )
        for name in ("D-UP", "TURN", "OUT", "BACK", "LOST")
    ),
)


def test_what_a_row_tells_is_read(tmp_path):
    row = {
        "D-UP": "3",
        "D-UP_reverse_0a1": "1",
        "TURN": "-2",
        "OUT": "nothing",
        "BACK": "4",
        "BACK_reverse_2b": "",
        "LC_2pg_c": "-7",
        "LC_b-c": "",
        "LC_glc-D_e": "-2",
        "LC_other": "0",
        "DG_D-UP": "-1.184970",
        "DG_TURN": "1.0",
        "LnGamma_TURN": "0.25",
        "DG_BACK": "0.592485",
        "LnGamma_BACK": "",
        "LnGamma_OUT": "0",
    }
    path = tmp_path / "row.csv"
    path.write_text(f"state,{','.join(row)}\nfirst,{',' * (len(row) - 1)}\nsecond,{','.join(row.values())}\n")
    known = read_known_values(path, NETWORK, row="second")
    # A net flux needs both of its cells.
    assert known.flux == {"D-UP": 2.0, "TURN": -2.0}
    assert known.concentration == pytest.approx({"_2pg_c": np.exp(-7), "glc_D_e": np.exp(-2)})
    assert known.free_energy == pytest.approx({"D-UP": -2.0, "TURN": 0.25, "BACK": 1.0}, rel=1e-5)
    empty = read_known_values(path, NETWORK, row=0)
    assert (empty.flux, empty.concentration, empty.free_energy) == ({}, {}, {})
    with pytest.raises(KineticInputError, match=r"row\.csv: has no row 'third'; give one of the 2 names \(first, sec"):
        read_known_values(path, NETWORK, row="third")


@pytest.mark.parametrize(
    ("options", "rows", "sentence"),
    [
        ({}, ["strain_1"], "member=strain_1: a computed ensemble has numbers, not names; give one from 0 on"),
        ({}, [-1], "member=-1: give a number of at least 0"),
        ({"model": "cobra"}, [0], "model=cobra needs model_file: give the path of an SBML or JSON file"),
        (
            {"model": "cobra", "model_file": "m.xml"},
            ["wild"],
            "member=wild: a computed ensemble has numbers, not names; give one",
        ),
        ({"model": "skimpy"}, [0], "model=skimpy needs model_file: give the path of a SKiMpy YAML file"),
        (
            {"model": "skimpy", "model_file": "no.yml"},
            [0],
            "no.yml: No such file or directory; give the path of a model",
        ),
    ],
)
def test_models_that_cannot_be_loaded_are_refused(options, rows, sentence):
    with pytest.raises(KineticInputError) as error:
        load_states(KineticConfig(**options), rows)
    assert sentence in str(error.value)


def test_a_published_model_that_is_not_there_names_the_command(tmp_path, monkeypatch, varma):
    monkeypatch.setenv("BIOPPO_CACHE", str(tmp_path))
    for model, data in (("renaissance384", "kinetic_renaissance"), ("varma", "kinetic_varma")):
        with pytest.raises(UserError, match=rf"{data} lacks .* run bioppo data get {data}"):
            load_states(KineticConfig(model=model), [0])
    del varma["state_file"]
    with pytest.raises(UserError, match=r"lacks .*tfa_reference_strains\.csv in .*: run bioppo data get kinetic_varma"):
        load_states(KineticConfig(**varma), [0])


def test_states_that_a_file_does_not_hold_are_refused(renaissance, varma):
    with pytest.raises(
        KineticInputError, match=r"member=1: .*renaissance384_state\.json holds one steady state; give 0"
    ):
        load_states(KineticConfig(**renaissance), [0, 1])
    with pytest.raises(
        KineticInputError, match=r"strains\.csv: has no row 'wild'; give one of the 2 names \(strain_1, "
    ):
        load_states(KineticConfig(**varma), ["wild"])
    skimpy = {"model": "skimpy", "model_file": varma["model_file"]}
    with pytest.raises(KineticInputError, match="model=skimpy needs state_file: give a table of steady states"):
        load_states(KineticConfig(**skimpy), [0])


def test_starts_that_a_model_does_not_store_are_refused(renaissance, varma):
    with pytest.raises(KineticInputError, match="start=file: model=e_coli_core stores no Michaelis constants; give st"):
        load_task(KineticConfig(start="file", lambda_part=-20.0))
    with pytest.raises(KineticInputError, match=r"curated\.yaml: .* of 384 Michaelis constants, without"):
        load_task(KineticConfig(**renaissance, start="file", concentration_unit="M", lambda_part=-2.5))
    skimpy = varma | {"model": "skimpy", "start": "file", "lambda_part": -2.5}
    with pytest.raises(KineticInputError, match=r"strain_1\.yml: the unit .* is not known; give concentration_unit"):
        load_task(KineticConfig(**skimpy))


def test_the_command_trains_on_the_published_model(placed, tmp_path):
    placed("kinetic_renaissance", "cache/data")
    words = "train env=kinetic algo=ppo env.model=renaissance384 env.order=renaissance env.lambda_part=-2.5 budget=16"
    more = "env.num_envs=4 env.horizon=2 env.reward=sigmoid algo.n_steps=2 algo.batch_size=8 algo.hidden_sizes=[8]"
    last = f"evaluation.episodes=2 evaluation.baselines=false display=off hydra.run.dir={tmp_path / 'run'}"
    assert main([*words.split(), *more.split(), *last.split()]) == 0
    *_, last_row = (tmp_path / "run" / "progress.csv").read_text().splitlines()
    assert last_row.startswith("2,16,")
    facts = json.loads((tmp_path / "run" / "provenance.json").read_text())["environment"]
    assert facts["n_parameters"] == 384
    assert facts["steady_states"] == [f"{COMPUTED_STATE} (state=computed)"]
