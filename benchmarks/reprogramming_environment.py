"""Speed of the reprogramming environment: against the bare table, and against one copy at a time.

Run ``python benchmarks/reprogramming_environment.py`` on an idle machine. The cells are random, of a size that is given
as ``cells genes actions types``, by default 2000 3000 216 30; speed does not depend on what is in a table. The
candidates are timed in turn, so that a slow moment of the machine hits all of them, and medians are compared.
"""

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from bioppo.envs.reprogramming.config import ReprogrammingConfig
from bioppo.envs.reprogramming.data import Actions, Table
from bioppo.envs.reprogramming.environment import ReprogrammingVectorEnv
from bioppo.envs.reprogramming.episodes.goals import cosine
from bioppo.envs.reprogramming.options import TaskOptions
from bioppo.envs.reprogramming.task import ReprogrammingTask
from bioppo.envs.single import SingleEnv

COPIES = (1024, 8192)
STEPS = 50
ROUNDS = 15


def random_table(cells: int, genes: int, actions: int, types: int) -> Table:
    """Return a table whose next cells, types and features are random."""
    generator = np.random.default_rng(0)
    names = np.array([f"TF{number}" for number in range(actions // 2)])
    cluster = np.arange(cells) % types
    features = (generator.normal(size=(types, genes))[cluster] + generator.normal(size=(cells, genes))).astype(
        np.float32
    )
    return Table(
        next=generator.integers(cells, size=(cells, actions)).astype(np.int32),
        shift=np.zeros((cells, actions, 2), dtype=np.float32),
        actions=Actions(
            names=np.array([f"{kind} {name}" for kind in ("KO", "OE") for name in names]),
            conditions=tuple({name: value} for value in (0.0, 1.0) for name in names.tolist()),
            activates=np.repeat([False, True], len(names)),
        ),
        genes=names,
        tfs=names,
        clusters=np.array([f"type{number:02d}" for number in range(types)]),
        cluster_of_cell=cluster.astype(np.int32),
        embedding=generator.normal(size=(cells, 2)),
        cells=np.array([f"cell{number}" for number in range(cells)]),
        features=features,
        pcs=generator.normal(size=(cells, 50)),
        split=np.where(np.arange(cells) % 20 == 0, 1, np.where(np.arange(cells) % 20 == 1, 2, 0)).astype(np.int8),
    )


def make(table: Table, num_envs: int, observation: str) -> ReprogrammingVectorEnv:
    """Return a training environment on a table."""
    config = ReprogrammingConfig(task=TaskOptions(obs=observation))
    environment = ReprogrammingVectorEnv(config, num_envs=num_envs, seed=0, task=ReprogrammingTask(table, config))
    environment.reset(seed=0)
    return environment


def step_batch(environment: ReprogrammingVectorEnv, actions: np.ndarray) -> None:
    """Take steps in all copies, and forget the statistics as a training does after its rollout."""
    for chosen in actions:
        environment.step(chosen)
    environment.training_scalars()


def step_single(environment: SingleEnv, actions: np.ndarray) -> None:
    """Take steps in one copy, as a loop over a plain Gymnasium environment does."""
    for chosen in actions.tolist():
        *_, terminated, truncated, _ = environment.step(chosen)
        if terminated or truncated:
            environment.reset()
    environment.batched.training_scalars()


def look_up(table: Table, cell: np.ndarray, actions: np.ndarray) -> None:
    """Follow the table alone."""
    flat, width = table.next.ravel(), table.next.shape[1]
    for chosen in actions:
        cell = flat.take(cell * width + chosen)


class ExpressionLoop:
    """One cell as a dictionary of expression, whose similarities are worked out in every step.

    It is what an environment looks like whose state is a profile of expression and that keeps nothing beforehand.
    """

    def __init__(self, task: ReprogrammingTask) -> None:
        self.task, self.features = task, np.asarray(task.table.features, dtype=np.float64)
        self.generator = np.random.default_rng(0)
        self.reset()

    def reset(self) -> dict[str, np.ndarray]:
        """Begin with a random training cell and another type."""
        task = self.task
        self.cell = int(self.generator.choice(task.start_cells))
        self.target = int(self.generator.choice(task.nearest[task.cluster_of_cell[self.cell]]))
        self.steps = 0
        return self.observe()

    def observe(self) -> dict[str, np.ndarray]:
        """Return both profiles and the mask."""
        following = self.task.table.next[self.cell]
        return {
            "current_expression": self.features[self.cell].astype(np.float32),
            "target_expression": self.task.goals.centroid[self.target].astype(np.float32),
            "action_mask": ((following != self.cell) & ~self.task.heldout[following]).astype(np.int8),
        }

    def similarity(self) -> float:
        """Return the cosine similarity of the cell to the target."""
        centre = self.task.goals.centroid[self.target][None]
        return float(cosine(self.features[self.cell][None], centre)[0, 0])

    def step(self, action: int) -> tuple[dict[str, np.ndarray], float, bool, bool]:
        """Move, compare before and after, and look."""
        options = self.task.config.task
        before = self.similarity()
        self.cell = int(self.task.table.next[self.cell, action])
        self.steps += 1
        after = self.similarity()
        own = self.task.cluster_of_cell[self.cell] == self.target
        success = bool(own and 1 - after < self.task.goals.threshold[self.target])
        reward = options.step_penalty + options.scale * (options.gamma * after - before)
        return self.observe(), reward, success, self.steps >= options.horizon_train and not success

    def run(self, actions: np.ndarray) -> None:
        """Take steps, and begin again after an end."""
        for chosen in actions.tolist():
            *_, terminated, truncated = self.step(chosen)
            if terminated or truncated:
                self.reset()


def rates(candidates: dict[str, tuple[int, Callable[[], None]]]) -> dict[str, float]:
    """Return the median steps per second of every candidate, given as how many steps it takes and how."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for round_ in range(ROUNDS + 1):
        for name, (_, candidate) in candidates.items():
            start = time.perf_counter()
            candidate()
            if round_:  # the first one warms up
                seconds[name].append(time.perf_counter() - start)
    return {name: steps / statistics.median(seconds[name]) for name, (steps, _) in candidates.items()}


def main() -> None:
    """Print steps per second and ratios for batches of several sizes."""
    cells, genes, actions, types = map(int, sys.argv[1:]) if len(sys.argv) > 1 else (2000, 3000, 216, 30)
    table = random_table(cells, genes, actions, types)
    generator = np.random.default_rng(1)
    one = generator.integers(actions, size=(STEPS * 4,))
    single, expression = SingleEnv(make(table, 1, "index")), SingleEnv(make(table, 1, "dict"))
    loop = ExpressionLoop(single.batched.task)
    candidates: dict[str, tuple[int, Callable[[], None]]] = {
        "one copy, index": (one.size, lambda: step_single(single, one)),
        "one copy, dict": (one.size, lambda: step_single(expression, one)),
        "loop, dict and cosines": (one.size, lambda: loop.run(one)),
    }
    for copies in COPIES:
        chosen = generator.integers(actions, size=(STEPS, copies))
        batch = make(table, copies, "index")
        cell = batch.state["cell"].copy()
        candidates[f"table, {copies} copies"] = chosen.size, partial(look_up, table, cell, chosen)
        candidates[f"batch, {copies} copies"] = chosen.size, partial(step_batch, batch, chosen)
    found = rates(candidates)
    print(f"{cells} cells x {genes} genes, {actions} actions, {types} types")
    for name, rate in found.items():
        print(f"{name:24s} {rate:14,.0f} steps/s")
    for copies in COPIES:
        rate = found[f"batch, {copies} copies"]
        ratios = ", ".join(f"{rate / found[name]:.4g} x {name}" for name in found if not name.startswith("batch"))
        print(f"{copies} copies together: {ratios}")


if __name__ == "__main__":
    main()
