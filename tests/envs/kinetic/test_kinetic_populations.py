import h5py
import numpy as np
import pandas as pd
import pytest

from bioppo.envs.kinetic.errors import KineticInputError
from bioppo.envs.kinetic.populations import Population, read_population, stored_constants, write_population

NAMES = ("km_substrate_A", "km_product_A", "km_substrate1_B")
LN_KM = np.random.default_rng(2).uniform(-25, 3, (20, 3))
LAMBDA_MAX = np.append(np.linspace(-9, 9, 19), np.inf)
METADATA = {"model": "e_coli_core", "state": "member 3 (state=computed)", "seed": 4}
SUFFIXES = [".csv", ".npz", ".h5", ".hdf5"]


def stored(folder, suffix, **changes):
    path = folder / f"sets{suffix}"
    content = {"names": NAMES, "ln_km": LN_KM, "lambda_max": LAMBDA_MAX, "metadata": METADATA}
    write_population(path, **(content | changes))
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_population_comes_back_as_it_was(tmp_path, suffix):
    population = read_population(stored(tmp_path, suffix))
    assert population.names == NAMES
    np.testing.assert_allclose(population.ln_km, LN_KM, rtol=0, atol=2e-16)
    np.testing.assert_array_equal(population.lambda_max, LAMBDA_MAX)
    assert population.metadata == METADATA


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_population_may_be_empty(tmp_path, suffix):
    population = read_population(stored(tmp_path, suffix, ln_km=np.empty((0, 3)), lambda_max=np.empty(0)))
    assert population.ln_km.shape == (0, 3)


def test_a_csv_is_a_table_in_mol_per_litre(tmp_path):
    frame = pd.read_csv(stored(tmp_path, ".csv"), comment="#")
    assert list(frame.columns) == ["lambda_max", *NAMES]
    np.testing.assert_allclose(frame[list(NAMES)], np.exp(LN_KM), rtol=1e-11)


def test_a_plain_table_of_constants_is_enough(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("km_a,km_b\n1e-3,0.5\n\n2e-6,1\n")
    population = read_population(path)
    np.testing.assert_allclose(population.ln_km, np.log([[1e-3, 0.5], [2e-6, 1]]))
    assert np.isnan(population.lambda_max).all()
    assert population.metadata == {}


def test_columns_are_arranged_for_a_model():
    population = Population(NAMES, LN_KM, LAMBDA_MAX)
    np.testing.assert_array_equal(population.arranged([NAMES[2], NAMES[0]]), LN_KM[:, [2, 0]])


def test_stored_constants_give_every_bit_of_the_logarithm_back():
    ln_km = np.random.default_rng(0).uniform(-25, -2, 10_000)
    for unit in (1.0, 1e-3, 1e-6):
        np.testing.assert_array_equal(np.log(stored_constants(ln_km, unit) * unit), ln_km)


def test_missing_names_are_counted_and_named(tmp_path):
    population = read_population(stored(tmp_path, ".npz"))
    wanted = [*NAMES, *(f"km_{number}" for number in range(12))]
    with pytest.raises(KineticInputError) as error:
        population.arranged(wanted)
    assert str(error.value) == (
        f"{tmp_path / 'sets.npz'}: the model has 15 Michaelis constants and the file 3, without km_0, km_1, km_2, "
        "km_3, km_4, km_5, km_6, km_7, km_8, km_9 and others; give a set with all names of the model."
    )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"names": NAMES[:2]}, "ln_km has the shape (20, 3) for 2 names; give one column for each name"),
        ({"ln_km": LN_KM[0]}, "ln_km has the shape (3,) for 3 names"),
        ({"lambda_max": LAMBDA_MAX[:5]}, "lambda_max has the shape (5,) for 20 sets; give one value for each set"),
        ({"names": ("a", "b", "a")}, "a is given twice; give every constant once"),
        (
            {"ln_km": np.where(np.arange(60).reshape(20, 3) == 4, np.nan, LN_KM)},
            "set 1 has no positive finite value of km_product_A; give all constants in mol/L (CSV) or as ln(mol/L)",
        ),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".h5"])
def test_arrays_that_do_not_fit_are_not_written(tmp_path, suffix, changes, sentence):
    with pytest.raises(KineticInputError) as error:
        stored(tmp_path, suffix, **changes)
    assert str(error.value).startswith(str(tmp_path))
    assert sentence in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("km_a,km_b\n1,2\n3\n", "set 1 has 1 values for 2 columns; give one each"),
        ("km_a,km_b\n1,2\n3,\n", "set 1 has no positive finite value of km_b"),
        ("km_a\n-7.5\n", "set 0 has no positive finite value of km_a; give all constants in mol/L"),
        ("km_a\nhigh\n", "is no population in .csv (could not convert string to float: 'high')"),
        ("# not JSON\nkm_a\n1\n", "is no population in .csv"),
        ("", "is no population in .csv"),
    ],
)
def test_a_csv_that_holds_no_sets_is_refused(tmp_path, text, sentence):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(KineticInputError) as error:
        read_population(path)
    assert str(error.value).startswith(str(path))
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_missing_and_broken_files_are_refused(tmp_path, suffix):
    path = tmp_path / f"sets{suffix}"
    with pytest.raises(KineticInputError, match=r"sets\.\w+: No such file; give the path of a population"):
        read_population(path)
    path.write_bytes(b"\x80\x04\x95broken")
    with pytest.raises(
        KineticInputError, match=r"is no population in \.\w+ .* pickled arrays are refused, give names, ln"
    ):
        read_population(path)


def test_pickled_arrays_and_other_layouts_are_refused(tmp_path):
    np.savez(tmp_path / "sets.npz", names=np.array(["a", None]), ln_km=LN_KM, lambda_max=LAMBDA_MAX, metadata="{}")
    with pytest.raises(KineticInputError, match=r"is no population in \.npz .*allow_pickle=False"):
        read_population(tmp_path / "sets.npz")
    with h5py.File(tmp_path / "sets.h5", "w") as file:
        file["parameter_set_0"] = [1.0]
    with pytest.raises(KineticInputError, match=r"is no population in \.h5 .*give names, ln_km, lambda_max"):
        read_population(tmp_path / "sets.h5")


def test_other_suffixes_are_refused(tmp_path):
    for use in (lambda path: stored(path, ".pkl"), lambda path: read_population(path / "sets.pkl")):
        with pytest.raises(
            KineticInputError, match=r"sets\.pkl: a population has one of the suffixes \.csv, \.npz, \.h5"
        ):
            use(tmp_path)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(KineticInputError, match=r"sets\.npz: the folder .*later does not exist; make it first"):
        stored(tmp_path / "later", ".npz")
