import numpy as np
import pytest

from bioppo import UserError
from bioppo.envs.perturbation.data import PerturbationData
from bioppo.envs.perturbation.sources.generator import generate_synthetic
from bioppo.envs.perturbation.splits import split_data


def cells(labels, cell_types=None, control="control"):
    labels = np.array(labels)
    return PerturbationData(
        X=np.ones((len(labels), 2), dtype=np.float32),
        genes=np.array(["A", "B"]),
        labels=labels,
        control=labels == control,
        cell_types=None if cell_types is None else np.array(cell_types),
    )


@pytest.fixture(scope="module")
def default():
    return generate_synthetic()


def expected(data, seed, share=0.2):
    """Return test cells and held-out labels, written out as the algorithm reads."""
    random = np.random.default_rng(seed)
    labels = sorted(set(data.labels[~data.control].tolist()))
    order = random.permutation(len(labels))
    held_out = {labels[place] for place in order[: max(1, round(share * len(labels)))]}
    test = set()
    for label in ["control", *labels]:
        rows = [place for place, name in enumerate(data.labels) if name == label]
        order = random.permutation(len(rows))
        count = len(rows) if label in held_out else round(0.2 * len(rows))
        test |= {rows[place] for place in order[:count]}
    return test, sorted(held_out)


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_the_split_follows_its_algorithm(seed, default):
    split = split_data(default, seed=seed)
    test, held_out = expected(default, seed)
    assert set(np.flatnonzero(split.test)) == test
    assert list(split.held_out) == held_out
    assert len(held_out) == 4
    order = np.random.default_rng(1000 + seed).permutation(800)
    control = np.flatnonzero(split.test & default.control)
    assert set(split.start) == set(control[order[:400]])
    assert set(split.reference) == set(control[order[400:]])


def test_shares_are_kept_within_labels(default):
    split = split_data(default, test_fraction=0.3, held_out_perturbations=0.1)
    assert len(split.held_out) == 2
    for label in ("control", *default.truth.labels):
        assert split.test[default.labels == label].mean() == (1.0 if label in split.held_out else 0.3)
    assert split.members_seen == {label: int(label not in split.held_out) for label in sorted(default.truth.labels)}


def test_the_halves_of_the_test_controls_share_no_cell(default):
    split = split_data(default)
    assert not set(split.start) & set(split.reference)
    assert set(split.start) | set(split.reference) == set(np.flatnonzero(split.test & default.control))


def test_combinations_with_a_held_out_member_are_held_out():
    data = generate_synthetic(n_genes=30, n_perturbations=8, n_control=100, n_per_perturbation=20, combos=20)
    found = set()
    for seed in range(4):
        split = split_data(data, seed=seed)
        for label in set(data.truth.labels):
            members = label.split("+")
            if any(member in split.held_out for member in members):
                assert label in split.held_out
            count = sum(member not in split.held_out for member in members)
            assert split.members_seen[label] == count
            if len(members) == 2 and label in split.held_out:
                found.add(count)
            assert split.test[data.labels == label].all() == (label in split.held_out)
    assert found >= {0, 1}


def test_a_combination_can_be_held_out_with_both_members_seen():
    data = cells(["control"] * 50 + ["A"] * 20 + ["B"] * 20 + ["A+B"] * 20)
    seeds = [seed for seed in range(40) if split_data(data, seed=seed).held_out == ("A+B",)]
    assert seeds
    assert split_data(data, seed=seeds[0]).members_seen == {"A": 1, "A+B": 2, "B": 1}
    assert split_data(data, combo_separator=None).members_seen["A+B"] in (0, 1)


def test_the_control_label_is_no_member():
    data = cells(["ctrl"] * 50 + ["A+ctrl"] * 20 + ["B+ctrl"] * 20, control="ctrl")
    assert sorted(split_data(data).members_seen.values()) == [0, 1]


def test_types_are_split_one_by_one():
    types = ["x"] * 30 + ["y"] * 20
    data = cells(["control"] * 50 + ["A"] * 50 + ["B"] * 50, types * 3)
    split = split_data(data)
    for label in ("control", "A", "B"):
        for kind, count in (("x", 6), ("y", 4)):
            rows = (data.labels == label) & (data.cell_types == kind)
            assert split.test[rows].sum() == (rows.sum() if label in split.held_out else count)


def test_all_cells_of_a_held_out_type_are_test_cells_and_its_controls_are_started_from():
    data = generate_synthetic(n_genes=10, n_perturbations=4, n_control=300, n_per_perturbation=60, cell_types=3)
    split = split_data(data, held_out_cell_type="type_1", held_out_perturbations=0)
    mine = data.cell_types == "type_1"
    assert split.test[mine].all()
    assert split.test[~mine].mean() == pytest.approx(0.2)
    assert split.held_out == ()
    assert split.held_out_cell_type == "type_1"
    assert 30 < mine[split.start].sum() < 70


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (cells(["control"] * 40 + ["A"] * 30), {}, "only one perturbation, A.*set held_out_perturbations=0"),
        (
            cells(["control"] * 40 + ["A"] * 30 + ["B"] * 30),
            {"held_out_perturbations": 0.9},
            "held_out_perturbations=0.9 holds out all 2 perturbations",
        ),
        (
            cells(["control"] * 40 + ["A"] * 30),
            {"held_out_perturbations": 0, "held_out_cell_type": "x"},
            "held_out_cell_type=x: cells have no types, so name their column with cell_type_col",
        ),
        (
            cells(["control"] * 40 + ["A"] * 30, ["x"] * 30 + ["y"] * 20 + ["z"] * 20),
            {"held_out_perturbations": 0, "held_out_cell_type": "w"},
            r"held_out_cell_type=w is not there: types have cells x \(30\), y \(20\), z \(20\)",
        ),
        (
            cells(["control"] * 40 + ["A"] * 30, ["x"] * 30 + ["y"] * 20 + ["z"] * 20),
            {"held_out_perturbations": 0, "held_out_cell_type": "z"},
            r"held_out_cell_type=z has no control cells: .* of them controls x \(30\), y \(10\)",
        ),
        (
            cells(["control"] * 40 + ["A"] * 30, ["x"] * 70),
            {"held_out_perturbations": 0, "held_out_cell_type": "x"},
            "no control cell is left for training",
        ),
        (
            cells(["control"] * 40 + ["A"] * 30, ["x"] * 30 + ["y"] * 40),
            {"held_out_perturbations": 0, "held_out_cell_type": "y"},
            "no perturbed cell is left for training",
        ),
        (
            cells(["control"] * 40 + ["A"] * 30),
            {"held_out_perturbations": 0, "test_fraction": 0.01},
            "test_fraction=0.01 leaves 0 test controls",
        ),
    ],
)
def test_splits_that_leave_nothing_are_refused(data, options, message):
    with pytest.raises(UserError, match=message):
        split_data(data, **options)


def test_one_perturbation_can_be_seen_alone():
    split = split_data(cells(["control"] * 40 + ["A"] * 30), held_out_perturbations=0)
    assert split.held_out == ()
    assert split.members_seen == {"A": 1}
