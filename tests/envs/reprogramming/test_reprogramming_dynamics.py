import json
from dataclasses import replace

import numpy as np
import pytest

from bioppo import UserError
from bioppo.envs.reprogramming.config import ReprogrammingConfig
from bioppo.envs.reprogramming.data import TRAIN, Grn
from bioppo.envs.reprogramming.dynamics.memoryless import StochasticDynamics, TableDynamics
from bioppo.envs.reprogramming.dynamics.multi_gene import add_combinations
from bioppo.envs.reprogramming.dynamics.persistent import PersistentDynamics, load_persistent
from bioppo.envs.reprogramming.environment import ReprogrammingVectorEnv
from bioppo.envs.reprogramming.moves import Simulator
from bioppo.envs.reprogramming.options import DynamicsOptions, TaskOptions
from bioppo.envs.reprogramming.project import find_neighbours, shift, snap
from bioppo.envs.reprogramming.propagate import simulate_dense
from bioppo.envs.reprogramming.task import ReprogrammingTask

ACTIONS = 20


@pytest.fixture(scope="module")
def stochastic_table(golden_table):
    """The golden table with three neighbours per action; the last action of every third cell changes nothing."""
    generator = np.random.default_rng(0)
    neighbours = (np.arange(120)[:, None, None] + generator.integers(1, 120, (120, ACTIONS, 3))) % 120
    probability = generator.dirichlet([1, 1, 1], (120, ACTIONS)).astype(np.float16)
    neighbours[::3, -1] = np.arange(0, 120, 3)[:, None]
    probability[::3, -1] = [1, 0, 0]
    return replace(golden_table, neighbours=neighbours.astype(np.int32), probability=probability)


def test_masked_actions_leave_cells_in_place(golden_table):
    blocked = golden_table.split != TRAIN
    dynamics = TableDynamics(golden_table, blocked)
    cell, action = map(np.ravel, np.indices((120, ACTIONS)))
    reached = dynamics.move(cell, action)
    allowed = dynamics.masks.ravel()
    np.testing.assert_array_equal(reached[allowed], golden_table.next.ravel()[allowed])
    np.testing.assert_array_equal(reached[~allowed], cell[~allowed])
    assert (blocked[golden_table.next.ravel()] & ~allowed).any()


def test_neighbours_are_drawn_as_often_as_they_are_probable(stochastic_table):
    dynamics = StochasticDynamics(stochastic_table)
    count = 20_000
    uniform = np.random.default_rng(1).random((count, 1))
    reached = dynamics.move(np.full(count, 5), np.full(count, 3), uniform)
    for neighbour, probability in zip(
        stochastic_table.neighbours[5, 3], stochastic_table.probability[5, 3], strict=True
    ):
        assert (reached == neighbour).mean() == pytest.approx(float(probability), abs=0.015)


def test_actions_that_change_nothing_are_masked(stochastic_table):
    dynamics = StochasticDynamics(stochastic_table)
    expected = np.ones((120, ACTIONS), dtype=bool)
    expected[::3, -1] = False
    np.testing.assert_array_equal(dynamics.masks, expected)
    reached = dynamics.move(np.arange(0, 120, 3), np.full(40, ACTIONS - 1), np.full((40, 1), 0.999))
    np.testing.assert_array_equal(reached, np.arange(0, 120, 3))


def test_probabilities_are_renormalised_over_cells_that_may_be_entered(stochastic_table):
    blocked = np.zeros(120, dtype=bool)
    first, second, third = stochastic_table.neighbours[5, 3]
    blocked[first] = True
    dynamics = StochasticDynamics(stochastic_table, blocked)
    weights = stochastic_table.probability[5, 3].astype(float)
    reached = dynamics.move(np.full(9999, 5), np.full(9999, 3), np.linspace(1e-4, 1 - 1e-4, 9999)[:, None])
    assert set(reached) == {second, third}
    assert (reached == second).mean() == pytest.approx(weights[1] / weights[1:].sum(), abs=1e-3)
    blocked[[second, third]] = True
    everything = StochasticDynamics(stochastic_table, blocked)
    assert not everything.masks[5, 3]
    assert everything.move(np.array([5]), np.array([3]), np.array([[0.5]]))[0] == 5


def test_stochastic_training_enters_no_held_out_cell_and_does_not_depend_on_the_copies(stochastic_table):
    config = ReprogrammingConfig(dynamics=DynamicsOptions(kind="stochastic", top_q=3))
    task = ReprogrammingTask(stochastic_table, config)
    many = ReprogrammingVectorEnv(config, num_envs=200, seed=0, task=task)
    one = ReprogrammingVectorEnv(config, num_envs=1, seed=0, task=task)
    first, second = one.reset(seed=2)[0], many.reset(seed=2)[0]
    cells = set()
    for step in range(500):
        np.testing.assert_array_equal(first[0], second[0])
        actions = np.random.default_rng(step).integers(ACTIONS, size=200)
        cells |= set(many.state["cell"].tolist())
        first, second = one.step(actions[:1])[0], many.step(actions)[0]
    assert cells <= set(np.flatnonzero(task.split == TRAIN))


def test_a_table_without_probabilities_is_refused(golden_table):
    config = ReprogrammingConfig(dynamics=DynamicsOptions(kind="stochastic"))
    with pytest.raises(UserError, match=r"^dynamics.kind=stochastic: the transition table holds no probabilities"):
        ReprogrammingVectorEnv(config, num_envs=1, seed=0, task=ReprogrammingTask(golden_table, config))


class Golden:
    """The golden cells and network, and what moves them under conditions that persist."""

    def __init__(self, folder, table):
        inputs = np.load(folder / "simulation_inputs.npz")
        self.table, self.imputed, self.cluster = table, inputs["imputed"], inputs["cluster"]
        self.embedding = inputs["embedding"]
        self.genes = np.array(json.loads((folder / "meta.json").read_text())["genes"])
        self.grn = Grn(
            np.load(folder / "grn.npz")["coef_cluster_alpha10"], table.tfs, self.genes, np.ones(10, dtype=bool)
        )
        self.neighbours = find_neighbours(self.embedding, 15)

    def dynamics(self, **options):
        simulator = Simulator(
            self.imputed,
            self.grn,
            self.table.actions,
            self.embedding,
            self.neighbours,
            self.cluster,
            nan_policy="celloracle",
            precision="float64",
            direct=True,
        )
        return PersistentDynamics(simulator, self.table.actions, self.embedding, 1.5, **options)

    def next_cell(self, cell, actions):
        """Return where a cell goes under some actions at once, by the dense reference."""
        condition = {gene: value for action in actions for gene, value in self.table.actions.conditions[action].items()}
        delta = simulate_dense(
            self.imputed[[cell]], self.grn.W[self.cluster[cell]], [condition], genes=self.genes, tfs=self.grn.tfs
        )
        # The other cells are needed as neighbours only.
        changes = np.zeros((120, 1, len(self.genes)))
        changes[cell] = delta[0]
        moved = shift(self.imputed, changes, self.neighbours, self.embedding, 0.05, "celloracle")[0]
        return snap(self.embedding, moved[[cell]], 1.5, rows=np.array([cell]))[0, 0]


@pytest.fixture(scope="module")
def golden(golden_folder, golden_table):
    return Golden(golden_folder, golden_table)


def test_one_clamp_moves_cells_as_the_table_does(golden, golden_folder):
    dynamics = golden.dynamics()
    margin = np.load(golden_folder / "table_task.npz")["margin_gain1p5"]
    for action in range(ACTIONS):
        clamps, allowed = dynamics.apply(dynamics.free(120), np.full(120, action))
        assert allowed.all()
        reached = dynamics.move(np.arange(120), clamps)
        sure = margin[:, action] > 1e-6
        np.testing.assert_array_equal(reached[sure], golden.table.next[sure, action])


def test_all_clamps_act_at_once(golden):
    dynamics = golden.dynamics()
    cells = np.arange(0, 120, 9)
    clamps = dynamics.free(len(cells))
    for action in (3, 17, 5):
        clamps, _ = dynamics.apply(clamps, np.full(len(cells), action))
    reached = dynamics.move(cells, clamps)
    np.testing.assert_array_equal(reached, [golden.next_cell(cell, (3, 17, 5)) for cell in cells])
    assert (reached != golden.table.next[cells, 5]).any()


def test_combinations_hold_like_single_genes(golden):
    actions = add_combinations(golden.table.actions, "pairs:xtf00,xtf03")
    assert actions.names[21] == "KO xtf00 + OE xtf03"
    simulator = golden.dynamics().simulator
    dynamics = PersistentDynamics(simulator, actions, golden.embedding, 1.5)
    cells = np.arange(0, 120, 9)
    clamps, _ = dynamics.apply(dynamics.free(len(cells)), np.full(len(cells), 21))
    expected = [golden.next_cell(cell, (0, 13)) for cell in cells]
    np.testing.assert_array_equal(dynamics.move(cells, clamps), expected)
    clamps, _ = dynamics.apply(clamps, np.full(len(cells), 3))  # knocks a gene of the combination out, which so ends
    np.testing.assert_array_equal(clamps, np.tile([4, 0, 0, 0], (len(cells), 1)))


def test_choosing_again_releases_and_rivals_take_over(golden):
    dynamics = golden.dynamics()
    clamps, _ = dynamics.apply(dynamics.free(3), np.array([4, 4, 4]))
    clamps, allowed = dynamics.apply(clamps, np.array([4, 14, 7]))  # released, the same gene overexpressed, another one
    np.testing.assert_array_equal(clamps, [[0, 0, 0, 0], [15, 0, 0, 0], [8, 5, 0, 0]])
    assert allowed.all()
    assert dynamics.move(np.array([11]), clamps[:1])[0] == 11
    np.testing.assert_array_equal(np.argwhere(dynamics.flags(clamps)), [[1, 14], [2, 4], [2, 7]])


def test_a_full_row_allows_releases_alone(golden):
    dynamics = golden.dynamics(max_clamps=2)
    clamps = dynamics.free(1)
    for action in (1, 2):
        assert dynamics.masks(clamps).all()
        clamps, _ = dynamics.apply(clamps, np.array([action]))
    np.testing.assert_array_equal(np.flatnonzero(dynamics.masks(clamps)[0]), [1, 2])
    same, allowed = dynamics.apply(clamps, np.array([11]))
    np.testing.assert_array_equal(same, clamps)
    assert not allowed[0]
    released, allowed = dynamics.apply(clamps, np.array([1]))
    np.testing.assert_array_equal(released, [[3, 0]])
    assert allowed[0]


def test_moves_are_remembered_and_the_oldest_forgotten(golden, monkeypatch):
    dynamics = golden.dynamics(remembered=50)
    asked = []
    simulate = dynamics.simulate
    monkeypatch.setattr(dynamics, "simulate", lambda cell, clamps: asked.append(len(cell)) or simulate(cell, clamps))
    clamps, _ = dynamics.apply(dynamics.free(40), np.full(40, 3))
    first = dynamics.move(np.arange(40), clamps)
    np.testing.assert_array_equal(dynamics.move(np.repeat(np.arange(40), 2), np.repeat(clamps, 2, axis=0))[::2], first)
    assert asked == [40]
    dynamics.move(np.arange(40, 80), clamps)
    dynamics.move(np.arange(40), clamps)
    assert asked == [40, 40, 30]
    assert len(dynamics._moves) == 50


def test_cells_of_a_batch_do_not_depend_on_each_other(golden):
    dynamics, alone = golden.dynamics(), golden.dynamics()
    generator = np.random.default_rng(0)
    cells = generator.integers(120, size=60)
    clamps = dynamics.free(60)
    for _ in range(3):
        clamps, _ = dynamics.apply(clamps, generator.integers(ACTIONS, size=60))
    together = dynamics.move(cells, clamps)
    np.testing.assert_array_equal(together, [alone.move(cells[[i]], clamps[[i]])[0] for i in range(60)])


@pytest.mark.parametrize("observation", ["index", "dict", "features"])
def test_episodes_with_persistent_perturbations(golden, golden_table, observation):
    options = DynamicsOptions(persist="episode", max_clamps=3)
    config = ReprogrammingConfig(dynamics=options, task=TaskOptions(obs=observation, horizon_train=6))
    task = ReprogrammingTask(golden_table, config, golden.dynamics(max_clamps=3))
    environment = ReprogrammingVectorEnv(config, num_envs=50, seed=0, task=task)
    seen, _ = environment.reset(seed=0)
    most = 0
    for step in range(30):
        assert environment.single_observation_space.contains(
            {key: value[0] for key, value in seen.items()} if observation == "dict" else seen[0]
        )
        masks = environment.action_masks()
        actions = np.argmax(masks * np.random.default_rng(step).random(masks.shape), axis=1)
        saved = environment.get_state()
        seen, reward, *_, info = environment.step(actions)
        clamps = environment.state["clamps"]
        most = max(most, int((clamps > 0).sum(axis=1).max()))
        assert not clamps[environment.state["elapsed_steps"] == 0].any()
        assert not info["forced_stay"].any()
        assert (task.split[environment.state["cell"]] == TRAIN).all()
    environment.set_state(saved)
    again, same, *_ = environment.step(actions)
    np.testing.assert_array_equal(same, reward)
    if observation == "dict":
        seen, again = seen["clamps"], again["clamps"]
        np.testing.assert_array_equal(again, environment.persistent.flags(environment.state["clamps"]))
    np.testing.assert_array_equal(again, seen)
    assert most == 3


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"dynamics": DynamicsOptions(persist="episode", kind="stochastic")}, r"^dynamics.kind=stochastic: dynamics.p"),
        ({"sim.backend": "celloracle"}, r"^sim.backend=celloracle: dynamics.persist=episode needs sim.backend=builtin"),
        ({"table.shift": "magnitude"}, r"^table.shift=magnitude: dynamics.persist=episode needs table.shift=unit"),
    ],
)
def test_options_that_need_a_table_do_not_persist(changes, sentence):
    config = ReprogrammingConfig(dynamics=changes.get("dynamics", DynamicsOptions(persist="episode")))
    for key, value in changes.items():
        if "." in key:
            part, name = key.split(".")
            config = replace(config, **{part: replace(getattr(config, part), **{name: value})})
    with pytest.raises(UserError, match=sentence):
        load_persistent(config)
