import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bioppo import UserError
from bioppo.configs.option import OptionError
from bioppo.envs.batched import NonFiniteError
from bioppo.envs.perturbation.baselines import fit_baselines
from bioppo.envs.perturbation.embedding import EmbeddingModel, GeneAttentionLayer, gene_graph
from bioppo.envs.perturbation.embedding.cache import trained_model
from bioppo.envs.perturbation.embedding.graph import coexpression_graph
from bioppo.envs.perturbation.embedding.model import target_flags
from bioppo.envs.perturbation.embedding.options import EmbeddingOptions
from bioppo.envs.perturbation.embedding.training import EmbeddingTrainer, Pairs, effect_pairs, make_trainer
from bioppo.envs.perturbation.features import perturbation_features
from bioppo.envs.perturbation.loading import load_prepared
from bioppo.envs.perturbation.means import training_means
from bioppo.envs.perturbation.options import DataOptions, GeneratorOptions, SplitOptions

GOLDEN = Path(__file__).parents[2] / "data" / "perturbation" / "gat_arrays.npz"
SMALL = {"heads": 2, "width": 3, "hidden": 8, "gene_vector": 4, "decoder_sizes": [16], "max_epochs": 3}


@pytest.fixture(scope="module")
def prepared():
    generator = GeneratorOptions(n_genes=12, n_perturbations=5, n_control=200, n_per_perturbation=40)
    return load_prepared(DataOptions(), generator, SplitOptions())


@pytest.fixture(scope="module")
def features(prepared):
    return perturbation_features(prepared, "pca_loading")


@pytest.fixture
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BIOPPO_CACHE", str(tmp_path))
    return tmp_path / "perturbation_embedding"


def golden_layer(dtype):
    golden = dict(np.load(GOLDEN))
    heads, width = golden["att_dst"].shape
    layer = GeneAttentionLayer(golden["x"].shape[2], heads, width, torch.as_tensor(golden["neighbours"])).to(dtype)
    with torch.no_grad():
        layer.weight.copy_(torch.as_tensor(golden["weight"]))
        layer.target_attention.copy_(torch.as_tensor(golden["att_dst"]))
        layer.source_attention.copy_(torch.as_tensor(golden["att_src"]))
    return layer, golden


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_the_layer_equals_the_library(dtype, tolerance):
    layer, golden = golden_layer(dtype)
    x = torch.as_tensor(golden["x"], dtype=dtype)
    np.testing.assert_allclose(layer(x).detach(), golden["y"], rtol=0, atol=tolerance)
    np.testing.assert_allclose(layer.attention(x).detach(), golden["attention"], rtol=0, atol=tolerance)


def test_the_layer_is_equivariant_under_permuted_genes_and_blind_to_the_order_of_neighbours():
    layer, golden = golden_layer(torch.float64)
    generator = np.random.default_rng(0)
    order = generator.permutation(len(golden["neighbours"]))  # new gene i is the old gene order[i]
    renamed = np.argsort(order)[golden["neighbours"][order]]
    shuffled = generator.permuted(renamed, axis=1)
    other = GeneAttentionLayer(layer.weight.shape[1], *layer.target_attention.shape, torch.as_tensor(shuffled)).double()
    other.load_state_dict(layer.state_dict())
    np.testing.assert_allclose(
        other(torch.as_tensor(golden["x"][:, order])).detach(), golden["y"][:, order], atol=1e-12
    )
    assert not np.allclose(golden["y"][:, order], golden["y"])


def padded_layer():
    neighbours = torch.tensor([[0, 1, 2], [1, 3, 1], [2, 2, 2], [3, 0, 1]])
    present = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 1, 1]], dtype=torch.bool)
    torch.manual_seed(0)
    return GeneAttentionLayer(2, 2, 3, neighbours, present).double()


def test_padding_is_as_if_it_were_not_there():
    layer, x = padded_layer(), torch.randn(5, 4, 2, dtype=torch.float64)
    mixed, weights = layer(x).detach(), layer.attention(x).detach()
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(5, 4, 2, dtype=torch.float64))
    for genes, columns in (([0, 3], 3), ([1], 2), ([2], 1)):
        shorter = GeneAttentionLayer(2, 2, 3, layer.neighbours.T[:, :columns]).double()
        shorter.load_state_dict(layer.state_dict())
        torch.testing.assert_close(shorter(x).detach()[:, genes], mixed[:, genes])
        assert (weights[:, genes, columns:] == 0).all()


def test_the_derivative_is_the_one_of_finite_differences():
    layer, x = padded_layer(), torch.randn(3, 4, 2, dtype=torch.float64, requires_grad=True)
    names, values = zip(*layer.named_parameters(), strict=True)

    def call(inputs, *parameters):
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (inputs,))

    assert torch.autograd.gradcheck(call, (x, *values))


def test_coexpressed_genes_are_neighbours_whatever_the_sign():
    generator = np.random.default_rng(0)
    base = generator.normal(size=(400, 2))
    noise = 0.1 * generator.normal(size=(400, 4))
    cells = np.column_stack([base[:, 0], -base[:, 0], base[:, 1], base[:, 1], np.full(400, 1.7)])
    cells[:, :4] += noise
    graph = coexpression_graph(cells.astype(np.float32), 1)
    assert graph.neighbours.tolist() == [[0, 1], [1, 0], [2, 3], [3, 2], [4, 4]]
    assert graph.present.tolist() == [[True, True]] * 4 + [[True, False]]
    correlation = np.abs(np.corrcoef(cells[:, :4].T)) - np.eye(4)
    wider = coexpression_graph(cells, 10)
    np.testing.assert_array_equal(wider.neighbours[:4, 1:4], np.argsort(-correlation, axis=1)[:, :3])
    assert wider.present.sum(axis=1).tolist() == [4, 4, 4, 4, 1]


def test_equal_correlations_go_by_gene_order():
    column = np.random.default_rng(0).normal(size=(50, 1))
    assert coexpression_graph(np.repeat(column, 4, axis=1), 2).neighbours.tolist() == [
        [0, 1, 2],
        [1, 0, 2],
        [2, 0, 1],
        [3, 0, 1],
    ]


def test_the_graph_sees_training_controls_alone(prepared):
    changed = prepared.expression.copy()
    changed[prepared.split.test | (prepared.label >= 0)] = 0
    other = gene_graph("coexpression", dataclasses.replace(prepared, expression=changed), neighbours=4)
    graph = gene_graph("coexpression", prepared, neighbours=4)
    np.testing.assert_array_equal(graph.neighbours, other.neighbours)
    assert graph.neighbours.shape == (12, 5)
    np.testing.assert_array_equal(graph.neighbours[:, 0], np.arange(12))
    assert gene_graph("none", prepared).neighbours.tolist() == [[gene] for gene in range(12)]


def network_file(tmp_path, text):
    (tmp_path / "network.tsv").write_text(text)
    return tmp_path / "network.tsv"


def test_a_network_file_names_regulators(prepared, tmp_path):
    a, b, c, d = prepared.genes[:4]
    lines = ["source\ttarget\tweight", f"{b}\t{a}\t-0.5", f"{c}\t{a}\t2", f"{d}\t{a}\t1", f"{c}\t{a}\t0.1"]
    lines += [f"{a}\t{a}\t9", f"MYC\t{a}\t3", f"MYC\t{b}", f"{a}\tTP53\t1", "", f"{d}\t{b}"]
    path = network_file(tmp_path, "\n".join(lines))
    graph = gene_graph("grn", prepared, neighbours=2, path=path)
    assert graph.neighbours[:3].tolist() == [[0, 2, 3], [1, 3, 1], [2, 2, 2]]
    assert graph.present[:3].tolist() == [[True, True, True], [True, True, False], [True, False, False]]
    assert graph.unknown_genes == 2


BAD_FILES = {
    "gene_00\tgene_01\tstrong": "line 1, has the weight 'strong': write a finite number",
    "gene_00\tgene_01\nnan\tgene_00\tnan": "line 2, has the weight 'nan'",
    "gene_00,gene_01,1": "line 1, has 1 columns: write source, target",
    "MYC\tTP53": "has no edge between two of the 12 genes (the first is gene_00): name genes as",
    "": "has no edge between two",
}


@pytest.mark.parametrize("text", BAD_FILES)
def test_a_bad_network_file_is_one_sentence(text, prepared, tmp_path):
    with pytest.raises(UserError) as raised:
        gene_graph("grn", prepared, path=network_file(tmp_path, text))
    assert str(raised.value).startswith(str(tmp_path / "network.tsv"))
    assert BAD_FILES[text] in str(raised.value)


def test_other_mistakes_name_their_option(prepared, tmp_path):
    with pytest.raises(UserError, match=r"graph_file=.*none.tsv cannot be read \(No such file or directory\): give"):
        gene_graph("grn", prepared, path=tmp_path / "none.tsv")
    (tmp_path / "binary.tsv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="it is no text in UTF-8"):
        gene_graph("grn", prepared, path=tmp_path / "binary.tsv")
    with pytest.raises(UserError, match="graph=knn: choose one of coexpression, grn, none"):
        gene_graph("knn", prepared)
    with pytest.raises(UserError, match="graph=grn: name the network's file"):
        gene_graph("grn", prepared)
    with pytest.raises(OptionError, match="graph=grn: name the network's file"):
        EmbeddingOptions(graph="grn")
    with pytest.raises(OptionError, match=r"decoder_sizes=\[128, 0\]"):
        EmbeddingOptions(decoder_sizes=[128, 0])


def test_options_are_read_without_torch():
    code = "import sys, bioppo.envs.perturbation.embedding.options; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def small_model(prepared, features, **options):
    return EmbeddingModel.from_prepared(prepared, features, EmbeddingOptions(**SMALL | options), seed=0)


def test_an_untrained_model_predicts_no_effect(prepared, features):
    model = small_model(prepared, features)
    x = prepared.expression[:300]
    label = np.arange(300) % 6 - 1
    np.testing.assert_array_equal(model.predict(x, label), x)
    assert model.predict(x[:0], label[:0]).shape == (0, 12)
    assert model.encode(x).shape == (300, 8)
    assert model.decode(model.encode(x)).shape == (300, 12)
    assert model.gene_features().shape == (12, 4)
    np.testing.assert_allclose(model.reconstruct(x)[280:], model.reconstruct(x[280:]), atol=1e-5)


def test_marking_a_target_moves_the_embedding(prepared, features):
    untargeted = dataclasses.replace(prepared, targets=(np.array([], dtype=np.int64), *prepared.targets[1:]))
    model = small_model(untargeted, features)
    vectors = model.perturbation_vectors(prepared.expression[:400])
    assert vectors.shape == (5, 8)
    np.testing.assert_array_equal(vectors[0], 0)
    assert np.abs(vectors[1:]).max(axis=1).min() > 1e-3
    assert target_flags(untargeted).sum(axis=1).tolist() == [0, 1, 1, 1, 1]


def test_targets_are_the_mean_effects_of_training_cells(prepared):
    options = EmbeddingOptions(max_train_cells=100)
    pairs = effect_pairs(prepared, options, np.random.default_rng(0))
    assert len(pairs) == 100
    assert set(pairs.perturbation) == set(np.flatnonzero(prepared.seen))
    controls = {row.tobytes() for row in prepared.expression[prepared.cells(None)]}
    assert {row.tobytes() for row in pairs.x} <= controls
    for label in set(pairs.perturbation):
        rows = pairs.perturbation == label
        effect = prepared.expression[prepared.cells(label)].mean(0) - prepared.expression[prepared.cells(None)].mean(0)
        np.testing.assert_allclose(pairs.y[rows] - pairs.x[rows], np.tile(effect, (rows.sum(), 1)), atol=1e-5)


def test_targets_are_those_of_the_cell_type(prepared):
    kind = np.arange(len(prepared.label)) % 3
    kind[(prepared.label >= 0) & (kind == 2)] = 0  # the third type was never perturbed
    shift = np.where((kind == 1) & (prepared.label >= 0), 1.0, 0.0)[:, None].astype(np.float32)
    typed = dataclasses.replace(
        prepared, cell_types=("a", "b", "c"), cell_type=kind, expression=prepared.expression + shift
    )
    pairs = effect_pairs(typed, EmbeddingOptions(), np.random.default_rng(0))
    position = {row.tobytes(): number for number, row in enumerate(typed.expression)}
    kinds = kind[[position[row.tobytes()] for row in pairs.x]]
    assert set(kinds) == {0, 1}
    effects = training_means(typed).effects
    np.testing.assert_allclose(pairs.y - pairs.x, effects[pairs.perturbation, kinds], atol=1e-5)


def weights(model):
    return {name: value.numpy() for name, value in model.state_dict().items()}


def test_training_reads_no_test_cell_and_no_global_random_number(prepared, features, bitwise_same):
    changed = prepared.expression.copy()
    changed[prepared.split.test] = 7
    results = []
    for seed, data in enumerate((prepared, dataclasses.replace(prepared, expression=changed))):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002  # the state that must not matter
        before = torch.get_rng_state()
        trainer = make_trainer(data, features, EmbeddingOptions(**SMALL), seed=3)
        results.append((trainer.run(), weights(trainer.model)))
        assert torch.equal(before, torch.get_rng_state())
    assert bitwise_same(*results)
    other = make_trainer(prepared, features, EmbeddingOptions(**SMALL), seed=4)
    assert not bitwise_same(results[0][0], other.run())


def test_a_trainer_continues_exactly(prepared, features, bitwise_same):
    def make():
        return make_trainer(prepared, features, EmbeddingOptions(**SMALL | {"max_epochs": 6}), seed=0)

    trainer, other = make(), make()
    for _ in range(2):
        trainer.run_epoch()
    other.run_epoch()
    state = trainer.get_state()
    expected = trainer.run()
    other.set_state(state)
    assert bitwise_same(expected, other.run())
    assert len(expected) == 4
    assert bitwise_same(trainer.get_state(), other.get_state())


def test_training_stops_early_with_the_best_weights(prepared, features):
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 40, 12)).astype(np.float32)
    noise = Pairs(x, np.zeros(40, dtype=np.int64), y)
    options = EmbeddingOptions(**SMALL | {"max_epochs": 200, "patience": 2, "learning_rate": 0.03, "batch_size": 4})
    trainer = EmbeddingTrainer(small_model(prepared, features), noise, options, np.random.default_rng(0))
    kinds = ("prediction", "reconstruction")
    history = [sum(row[f"train/validation_{kind}_loss"] for kind in kinds) for row in trainer.run()]
    assert trainer.finished
    assert len(history) < 200
    best = int(np.argmin(history))
    assert best == len(history) - 3 == trainer.best_epoch - 1
    assert trainer._validate().sum() == pytest.approx(history[best])
    with pytest.raises(NonFiniteError, match=r"not finite after epoch 1 with learning_rate=1e\+30: lower it"):
        make_trainer(prepared, features, EmbeddingOptions(**SMALL | {"learning_rate": 1e30}), seed=0).run()


def test_given_pairs_replace_the_mean_effects(prepared, features):
    x = prepared.expression[prepared.cells(None)]
    given = Pairs(x, np.zeros(len(x), dtype=np.int64), x + 5)
    options = EmbeddingOptions(**SMALL | {"max_epochs": 12, "batch_size": 8, "unperturbed_share": 0.0})
    trainer = make_trainer(prepared, features, options, seed=0, given=given)
    assert len(trainer.training[0]) + len(trainer.validation[0]) == len(x)
    trainer.run()
    moved = trainer.model.predict(x, given.perturbation) - x
    np.testing.assert_allclose(moved.mean(axis=0), 5, atol=0.5)
    with pytest.raises(UserError, match="was given 1 pairs of cells: give at least 2"):
        make_trainer(prepared, features, options, seed=0, given=Pairs(x[:1], given.perturbation[:1], x[:1]))


def test_the_same_key_gives_the_same_arrays_without_training(
    prepared, features, cache_folder, monkeypatch, bitwise_same
):
    options = EmbeddingOptions(**SMALL)
    first = trained_model(prepared, features, options)
    (file,) = cache_folder.iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(EmbeddingTrainer, "run_epoch", lambda self: pytest.fail("it was trained again"))
        again = trained_model(prepared, features, options)
    assert bitwise_same(weights(first), weights(again))
    x, label = prepared.expression[:50], np.arange(50) % 5
    np.testing.assert_array_equal(first.predict(x, label), again.predict(x, label))
    for damaged in (file.read_bytes()[:1000], b"nothing", b""):
        file.write_bytes(damaged)
        assert bitwise_same(weights(first), weights(trained_model(prepared, features, options)))
        assert file.stat().st_size > 1000
    middle = bytearray(file.read_bytes())
    middle[len(middle) // 2] ^= 255
    file.write_bytes(middle)
    assert bitwise_same(weights(first), weights(trained_model(prepared, features, options)))
    assert [path.name for path in cache_folder.iterdir()] == [file.name]


def test_whatever_decides_the_weights_has_a_key_of_its_own(prepared, features, cache_folder):
    options = EmbeddingOptions(**SMALL | {"max_epochs": 1})
    held = dataclasses.replace(prepared.split, test=np.roll(prepared.split.test, 1))
    x = prepared.expression[:50]
    variants = [
        (prepared, features, options, None),
        (prepared, features, dataclasses.replace(options, seed=1), None),
        (prepared, features, dataclasses.replace(options, patience=6), None),
        (prepared, features + 1, options, None),
        (prepared, features, options, Pairs(x, np.zeros(50, dtype=np.int64), x)),
        (dataclasses.replace(prepared, split=held), features, options, None),
        (dataclasses.replace(prepared, provenance={"fingerprint": "other"}), features, options, None),
    ]
    for number, (data, given_features, given_options, given) in enumerate(variants, start=1):
        trained_model(data, given_features, given_options, given=given)
        assert len(list(cache_folder.iterdir())) == number


def test_without_a_cache_the_model_is_trained(prepared, features, tmp_path, monkeypatch, bitwise_same):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    options = EmbeddingOptions(**SMALL | {"max_epochs": 1})
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BIOPPO_CACHE", str(tmp_path / "file"))  # no folder can be made there
    first = trained_model(prepared, features, options)
    monkeypatch.delenv("BIOPPO_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert bitwise_same(weights(first), weights(trained_model(prepared, features, options)))


def error_of_means(prepared, predict):
    """Mean over seen perturbations of the squared error between predicted and observed means of test cells."""
    start = prepared.expression[prepared.split.start]
    errors = []
    for label in np.flatnonzero(prepared.seen):
        observed = prepared.expression[prepared.cells(int(label), test=True)].mean(axis=0)
        errors.append(np.square(predict(start, np.full(len(start), label)).mean(axis=0) - observed).mean())
    return float(np.mean(errors))


@pytest.fixture(scope="module")
def default_data():
    prepared = load_prepared(DataOptions(), GeneratorOptions(), SplitOptions())
    return prepared, perturbation_features(prepared, "pca_loading")


def error_after(prepared, features, epochs):
    trainer = make_trainer(prepared, features, EmbeddingOptions(max_epochs=epochs), seed=0)
    trainer.run()
    return error_of_means(prepared, trainer.model.predict)


def test_seen_perturbations_are_predicted_better_than_by_no_change(default_data):
    prepared, features = default_data
    assert error_after(prepared, features, 3) < 0.4 * error_of_means(prepared, lambda x, label: x)


@pytest.mark.slow
def test_a_whole_training_comes_close_to_the_mean_effects(default_data):
    prepared, features = default_data
    errors = {
        name: error_of_means(prepared, lambda x, p, one=one: one.predict(x, p, np.zeros(len(x), dtype=np.int64)))
        for name, one in fit_baselines(prepared, features).items()
    }
    reached = error_after(prepared, features, 50)
    print(errors | {"embedding": reached})
    assert reached < 1.1 * errors["additive"]
    assert reached < 0.5 * errors["ridge"]
