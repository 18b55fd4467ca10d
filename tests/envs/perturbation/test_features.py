import dataclasses
from pathlib import Path

import numpy as np
import pytest

from bioppo import UserError
from bioppo.envs.perturbation.features import perturbation_features
from bioppo.envs.perturbation.loading import load_prepared
from bioppo.envs.perturbation.options import GeneratorOptions

GOLDEN = Path(__file__).parents[2] / "data" / "perturbation" / "synthetic_arrays.npz"


@pytest.fixture
def prepared():
    return load_prepared()


@pytest.fixture(scope="module")
def paired():
    return load_prepared(
        generator=GeneratorOptions(n_genes=20, n_perturbations=6, n_control=200, n_per_perturbation=40, combos=8)
    )


def hide_targets(prepared, count):
    """Return the data with the targets of the first perturbations not measured."""
    empty = (np.array([], dtype=np.int64),) * count
    return dataclasses.replace(prepared, targets=empty + prepared.targets[count:])


def test_loadings_of_all_controls_are_the_golden_ones(prepared):
    with np.load(GOLDEN) as arrays:
        targets, expected = arrays["targets"], arrays["emb"]
    # The golden features were fitted on all control cells.
    everything = dataclasses.replace(prepared.split, test=np.zeros(9000, dtype=bool))
    features = perturbation_features(dataclasses.replace(prepared, split=everything), "pca_loading")
    mine = features[[prepared.perturbations.index(f"gene_{target:02d}") for target in targets]]
    signs = np.sign((mine * expected).sum(axis=0))
    np.testing.assert_allclose(mine * signs, expected, atol=1e-5)
    assert features.dtype == np.float32


def test_loadings_see_training_controls_alone(prepared):
    changed = prepared.expression.copy()
    changed[prepared.split.test | (prepared.label >= 0)] += 1
    before, after = (
        perturbation_features(data) for data in (prepared, dataclasses.replace(prepared, expression=changed))
    )
    assert before.tobytes() == after.tobytes()
    assert prepared.provenance["features"] == {"kind": "pca_loading", "size": 10, "notes": []}


def test_members_of_a_combination_add(paired):
    features = dict(zip(paired.perturbations, perturbation_features(paired), strict=True))
    pairs = [label for label in features if "+" in label]
    assert len(pairs) == 8
    for pair in pairs:
        one, other = pair.split("+")
        np.testing.assert_allclose(features[pair], features[one] + features[other], rtol=1e-4, atol=1e-5)


def test_onehot_knows_nothing_of_held_out_perturbations(prepared):
    features = perturbation_features(prepared, "onehot")
    seen = prepared.seen
    assert features.shape == (20, 16)
    assert np.array_equal(features[seen], np.eye(16))
    assert not features[~seen].any()
    assert prepared.provenance["features"]["notes"] == ["split B carries no information about held-out perturbations"]


@pytest.mark.parametrize(("hidden", "kind"), [(4, "pca_loading"), (5, "onehot")])
def test_loadings_are_chosen_where_most_targets_are_measured(hidden, kind, prepared):
    data = hide_targets(prepared, hidden)
    features = perturbation_features(data)
    facts = data.provenance["features"]
    assert facts["kind"] == kind
    assert f"{hidden} of 20" in facts["notes"][0] or f"{20 - hidden} of 20" in facts["notes"][0]
    if kind == "pca_loading":
        assert not features[:hidden].any()
        assert features[hidden:].any(axis=1).all()


def test_loadings_need_a_measured_target(prepared):
    assert perturbation_features(hide_targets(prepared, 19), "pca_loading")[19].any()
    with pytest.raises(UserError, match="embedding=pca_loading: no target gene is measured, so choose onehot or file"):
        perturbation_features(hide_targets(prepared, 20), "pca_loading")


def test_files_give_rows_by_label(prepared, tmp_path):
    numbers = np.random.default_rng(0).normal(size=(21, 3))
    labels = [*prepared.perturbations, "another"]
    np.savez(tmp_path / "features.npz", labels=np.array(labels)[::-1], features=numbers[::-1])
    lines = [
        "label\ta\tb\tc",
        *("\t".join([label, *map(str, row)]) for label, row in zip(labels, numbers, strict=True)),
    ]
    (tmp_path / "features.tsv").write_text("\n".join(lines) + "\n")
    for name in ("features.npz", "features.tsv"):
        features = perturbation_features(prepared, "file", tmp_path / name)
        np.testing.assert_allclose(features, numbers[:20], rtol=1e-6)


def test_files_may_leave_combinations_to_their_members(paired, tmp_path):
    singles = [label for label in paired.perturbations if "+" not in label]
    np.savez(tmp_path / "features.npz", labels=np.array(singles), features=np.eye(6))
    features = dict(
        zip(paired.perturbations, perturbation_features(paired, "file", tmp_path / "features.npz"), strict=True)
    )
    for label, row in features.items():
        assert [singles[place] for place in np.flatnonzero(row)] == label.split("+")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "features.tsv does not exist"),
        ("label\ta\nx\t1\n", "has no row for gene_01, gene_02.*add 20 rows"),
        ("label\ta\nx\tone\n", "cannot be read"),
        ("label\ta\tb\nx\t1\t2\ny\t1\n", "cannot be read"),
        ("label\ta\nx\tnan\n", "needs finite numbers"),
        ("label\ta\n", "needs finite numbers"),
    ],
)
def test_files_that_lack_something_are_refused(content, message, prepared, tmp_path):
    if content is not None:
        (tmp_path / "features.tsv").write_text(content)
    with pytest.raises(UserError, match=message):
        perturbation_features(prepared, "file", tmp_path / "features.tsv")


def test_kinds_and_files_must_be_known(prepared):
    with pytest.raises(UserError, match="embedding=one_hot: did you mean onehot"):
        perturbation_features(prepared, "one_hot")
    with pytest.raises(UserError, match="embedding_file=null: embedding=file needs one"):
        perturbation_features(prepared, "file")
