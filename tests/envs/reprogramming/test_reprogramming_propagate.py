"""Propagation against the golden changes, its dense reference and its own rules; levels and lists of actions."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bioppo import UserError
from bioppo.envs.reprogramming import overexpression
from bioppo.envs.reprogramming.config import ReprogrammingConfig
from bioppo.envs.reprogramming.data import TRAIN, Grn
from bioppo.envs.reprogramming.options import SimOptions
from bioppo.envs.reprogramming.propagate import observed_range, simulate, simulate_dense, stack_clamps
from bioppo.envs.reprogramming.simulation import note_inactive

DATA = Path(__file__).parents[2] / "data" / "reprogramming"
META = json.loads((DATA / "meta.json").read_text())
INPUTS = np.load(DATA / "simulation_inputs.npz")
NAMES = {"genes": np.array(META["genes"]), "tfs": np.array(META["tfs"])}
CHANGES = np.load(DATA / "delta_x.npz")
NETWORKS = np.load(DATA / "grn.npz")


def golden(conditions: list[str], precision: str = "float64", **options: Any) -> np.ndarray:
    x = INPUTS["imputed"].astype(precision)
    W = NETWORKS["coef_cluster_alpha10"]
    chosen = [META["conditions"][name] for name in conditions]
    return simulate(x, W, chosen, cluster_of_cell=INPUTS["cluster"], **options, **NAMES)


@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-10), ("float32", 1e-5)])
def test_changes_equal_the_golden_ones(precision: str, tolerance: float) -> None:
    conditions = list(META["conditions"])
    delta = golden(conditions, precision)
    assert delta.dtype == precision
    for column, name in enumerate(conditions):
        np.testing.assert_allclose(delta[:, column], CHANGES[f"delta_{name}"], atol=tolerance, err_msg=name)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_other_numbers_of_passes_equal_the_golden_ones(n: int) -> None:
    np.testing.assert_allclose(golden(["KO_a"], n=n)[:, 0], CHANGES[f"delta_KO_a_nprop{n}"], atol=1e-10)


def test_clipped_and_whole_equal_the_golden_ones() -> None:
    clipped = golden(["OE_limit"], clip=observed_range(INPUTS["imputed"]))[:, 0]
    np.testing.assert_allclose(clipped, CHANGES["delta_OE_limit_clipped"], atol=1e-10)
    assert np.abs(clipped - CHANGES["delta_OE_limit"]).max() > 0.1
    whole = simulate(INPUTS["imputed"], NETWORKS["coef_whole_alpha10"], [META["conditions"]["KO_a"]], **NAMES)
    np.testing.assert_allclose(whole[:, 0], CHANGES["delta_KO_a_whole"], atol=1e-10)


def test_a_silent_gene_is_not_held_at_zero() -> None:
    cells, gene = INPUTS["partly_silent_cells"], int(INPUTS["partly_silent_tf"])
    column = META["genes"].index(META["tfs"][gene])
    delta = golden(["pair_partly_silent"])[cells, 0]
    assert (INPUTS["imputed"][cells, column] == 0).all()
    assert (delta[:, column] > 0).any()


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("clip", [False, True])
def test_factor_space_equals_the_dense_reference(n: int, clip: bool) -> None:
    generator = np.random.default_rng(n)
    genes = np.array([f"g{index:02}" for index in generator.permutation(50)])
    tfs = np.sort(genes[generator.choice(50, 9, replace=False)])
    x = np.maximum(0, generator.normal(0.5, 1, (20, 50)))
    W = generator.normal(0, 0.5, (9, 50)) * (generator.random((9, 50)) < 0.6)
    # Combinations, a gene that is no factor, nothing at all, and a value that some cells have already.
    conditions = [{tfs[0]: 0.0}, {tfs[1]: 2.5}, {tfs[2]: 0.0, tfs[3]: 1.0, genes[0]: 3.0}, {}, {tfs[4]: x[3, 5]}]
    limits = observed_range(x) if clip else None
    delta = simulate(x, W, conditions, n, limits, genes=genes, tfs=tfs)
    expected = simulate_dense(x, W, conditions, n, limits, genes=genes, tfs=tfs)
    np.testing.assert_allclose(delta, expected, atol=1e-10)
    assert (x[:, None] + delta >= -1e-12).all()
    assert (delta[:, 3] == 0).all()
    assert (delta == -x[:, None]).mean() > 0.02


def test_conditions_of_every_cell_equal_those_cell_by_cell() -> None:
    generator = np.random.default_rng(0)
    genes = np.array([f"g{index:02}" for index in range(30)])
    x, W = generator.gamma(1, 1, (6, 30)), generator.normal(0, 0.4, (2, 5, 30))
    cluster = np.array([0, 1, 0, 1, 1, 0])
    own = [[{genes[cell % 5]: 0.0}, {genes[cell % 4]: 2.0, genes[20 + cell]: 1.0}] for cell in range(6)]
    names = {"genes": genes, "tfs": genes[:5]}
    delta = simulate(x, W, stack_clamps(own, genes), cluster_of_cell=cluster, **names)
    for cell in range(6):
        alone = simulate(x[[cell]], W[cluster[cell]], own[cell], **names)
        np.testing.assert_allclose(delta[cell], alone[0], atol=1e-12)


def test_bad_input_is_named() -> None:
    x, W = np.ones((3, 4)), np.zeros((2, 4))
    names = {"genes": np.array(["a", "b", "c", "d"]), "tfs": np.array(["a", "b"])}
    with pytest.raises(UserError, match="z is none of the 4 measured genes, so name one of them, such as a, b, c"):
        simulate(x, W, [{"z": 0.0}], **names)
    for value in (-1.0, np.nan, np.inf):
        with pytest.raises(UserError, match=f"condition a={value}"):
            simulate(x, W, [{"a": value}], **names)
    for n in (0, 6):
        with pytest.raises(UserError, match=f"sim.n_propagation={n}: choose 1 to 5"):
            simulate(x, W, [{"a": 0.0}], n, **names)
    with pytest.raises(UserError, match="1 coefficients are not finite, that of b on c first"):
        simulate(x, np.array([[0, 0, 0, 0], [0, 0, np.nan, 0]]), [{"a": 0.0}], **names)
    with pytest.raises(UserError, match="W has shape"):
        simulate(x, W[:1], [{"a": 0.0}], **names)
    x[2, 1] = -0.1
    with pytest.raises(UserError, match="1 values are negative, that of b in cell 2 first"):
        simulate(x, W, [{"a": 0.0}], **names)
    with pytest.raises(UserError, match="1 genes are not measured, e first"):
        simulate(np.ones((3, 4)), W, [{"a": 0.0}], genes=names["genes"], tfs=np.array(["a", "e"]))


def prepared(split: np.ndarray | None = None) -> Any:
    split = np.full(len(INPUTS["imputed"]), TRAIN) if split is None else split
    layers = {"lognorm": INPUTS["X_lognorm"], "imputed": INPUTS["imputed"]}
    return SimpleNamespace(genes=NAMES["genes"], split=split, **layers)


@pytest.mark.filterwarnings("ignore:.*levels of overexpression")
@pytest.mark.parametrize("layer", ["lognorm", "imputed"])
def test_levels_equal_the_golden_ones(layer: str) -> None:
    values = overexpression.levels(prepared(), SimOptions(oe_layer=layer), NAMES["tfs"])
    np.testing.assert_allclose(values, INPUTS[f"oe_from_{layer}"], atol=1e-12)


def test_other_rules_of_levels(tmp_path: Path) -> None:
    x = np.array([[0.0, 1.0], [2.0, 1.0], [4.0, 3.0]])
    genes = np.array(["a", "b"])
    assert overexpression.rule_levels(x, "max", genes).tolist() == [4, 3]
    assert overexpression.rule_levels(x, "two_max", genes).tolist() == [8, 6]
    assert overexpression.rule_levels(x, "quantile:0.5", genes).tolist() == [2, 1]
    table = tmp_path / "levels.csv"
    table.write_text("gene,value\nb,2.5\na,1\n")
    assert overexpression.rule_levels(x, str(table), genes).tolist() == [1, 2.5]
    for rule, message in (
        ("quantile:2", "between 0 and 1"),
        ("quantile:x", "between 0 and 1"),
        ("mean", "choose mean_sd, max, two_max"),
        (str(tmp_path / "none.csv"), "cannot be read"),
    ):
        with pytest.raises(UserError, match=message):
            overexpression.rule_levels(x, rule, genes)
    for text, message in (("a,1\n", "b has no level"), ("a,1\nb,x\n", "line 2"), ("a,1\nb,-2\n", "b has level -2")):
        table.write_text(text)
        with pytest.raises(UserError, match=message):
            overexpression.rule_levels(x, str(table), genes)


def test_an_outlier_raises_no_level() -> None:
    x = np.concatenate([np.linspace(1, 2, 40), [500.0]])[:, None]
    expected = x[:40].mean() + 1.5 * x[:40].std()
    assert overexpression.rule_levels(x, "mean_sd", np.array(["a"]))[0] == pytest.approx(expected)


def test_levels_above_the_limit_are_clipped_or_told() -> None:
    values, limit, genes = np.array([1.0, 5.0]), np.array([2.0, 4.0]), np.array(["a", "b"])
    assert overexpression.keep_limit(values, limit, genes, "clip").tolist() == [1, 4]
    with pytest.warns(UserWarning, match="1 levels of overexpression are above 2 max - min of the gene.*: b;"):
        assert overexpression.keep_limit(values, limit, genes, "warn").tolist() == [1, 5]
    assert overexpression.keep_limit(limit, limit, genes, "warn").tolist() == [2, 4]


@pytest.mark.filterwarnings("ignore:.*levels of overexpression")
def test_levels_see_training_cells_alone_unless_asked() -> None:
    split = np.where(np.arange(120) < 100, TRAIN, 2)
    changed = prepared(split)
    changed.lognorm = changed.lognorm.copy()
    changed.lognorm[100:] += 1
    genes = NAMES["tfs"]
    one = overexpression.levels(prepared(split), SimOptions(), genes)
    np.testing.assert_array_equal(one, overexpression.levels(changed, SimOptions(), genes))
    everything = overexpression.levels(changed, SimOptions(), genes, training_only=False)
    assert (np.abs(everything - one) > 1e-3).any()


@pytest.mark.filterwarnings("ignore:.*levels of overexpression")
def test_actions_are_knock_outs_then_overexpressions_of_active_genes() -> None:
    W = NETWORKS["coef_cluster_alpha10"]
    active = np.ones(10, dtype=bool)
    active[[2, 5]] = False
    order = np.arange(10)[::-1]
    grn = Grn(W[:, order], NAMES["tfs"][order], NAMES["genes"], active[order])
    config = ReprogrammingConfig()
    actions = overexpression.make_actions(grn, prepared(), config)
    chosen = NAMES["tfs"][active].tolist()
    assert actions.names.tolist() == [f"KO {gene}" for gene in chosen] + [f"OE {gene}" for gene in chosen]
    assert actions.activates.tolist() == [False] * 8 + [True] * 8
    assert [next(iter(condition)) for condition in actions.conditions] == chosen * 2
    assert [next(iter(condition.values())) for condition in actions.conditions[:8]] == [0.0] * 8
    levels = [next(iter(condition.values())) for condition in actions.conditions[8:]]
    np.testing.assert_allclose(levels, INPUTS["oe_from_lognorm"][active])
    without = NAMES["tfs"][~active].tolist()
    sentence = f"2 transcription factors act on no other gene and have no actions: {', '.join(sorted(without))}"
    assert note_inactive(grn, None) == [sentence]
    assert note_inactive(grn, chosen) == []
    config.data.gene_order = [chosen[3], chosen[0]]
    actions = overexpression.make_actions(grn, prepared(), config)
    assert actions.names.tolist() == [f"{kind} {gene}" for kind in ("KO", "OE") for gene in (chosen[3], chosen[0])]
    other = next(gene for gene in META["genes"] if gene not in META["tfs"])
    for order_given, message in (
        (["absent"], "1 genes are not measured, absent first"),
        ([other], f"are no transcription factors of the network, {other} first"),
        ([NAMES["tfs"][5]], f"1 genes act on no other gene in any type, {NAMES['tfs'][5]} first"),
        ([chosen[0], chosen[0]], "named twice"),
        ([], "name at least one gene"),
    ):
        config.data.gene_order = [str(gene) for gene in order_given]
        with pytest.raises(UserError, match=message):
            overexpression.make_actions(grn, prepared(), config)
    nothing = Grn(W, NAMES["tfs"], NAMES["genes"], np.zeros(10, dtype=bool))
    with pytest.raises(UserError, match="none of 10 transcription factors acts on another gene"):
        overexpression.make_actions(nothing, prepared(), ReprogrammingConfig())
