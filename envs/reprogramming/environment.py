"""Move measured cells to a target type, one perturbation after the other."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..batched import Demonstrations
from ..evaluation import Evaluation, Trajectories
from .config import ReprogrammingConfig
from .drawing.figure_tables import figure_tables
from .episodes.cells import CellEpisodes
from .evaluation import METRICS, horizon_table, measure, metrics_of
from .task import ReprogrammingTask

if TYPE_CHECKING:
    import pandas as pd

    from .imitation import Demonstrator


class ReprogrammingVectorEnv(CellEpisodes):
    """A batch of cells, as `CellEpisodes` moves them, with what agents are measured by, compared with and taught."""

    metrics = METRICS

    def __init__(
        self,
        config: ReprogrammingConfig,
        *,
        num_envs: int,
        seed: int,
        split: str = "train",
        task: ReprogrammingTask | None = None,
    ) -> None:
        super().__init__(config, num_envs=num_envs, seed=seed, split=split, task=task)
        self.metrics = metrics_of(self.task)
        self.demonstrator: Demonstrator | None = None

    def measure(self, trajectories: Trajectories) -> Evaluation:
        """Return successes, lengths against shortest ways, and the rest that `evaluation` measures."""
        return measure(self.task, trajectories, self.horizon)

    def inspect(self, agent: Any, evaluation: Evaluation) -> "dict[str, pd.DataFrame]":
        """Return ``horizons``, the agent on both held-out splits within the horizon and 36 steps, and what is drawn."""
        horizons = horizon_table(self, agent, episodes=len(evaluation.episodes))
        return {"horizons": horizons} | figure_tables(self.task, evaluation.episodes)

    def baselines(self) -> dict[str, Any]:
        """Return greedy policies and planners."""
        from .baselines import environment_baselines

        return environment_baselines(self.task)

    def network(self, name: str, options: dict[str, Any]) -> tuple[type[Any], dict[str, Any]]:
        """Return a network that reads cells by index: afterstate, embedding or pca; with its keywords."""
        from .policies import network_of

        return network_of(self.task, name, options)

    def demonstrate(self, count: int, generator: np.random.Generator) -> Demonstrations:
        """Return training cells and targets with the first steps of their shortest ways."""
        from .imitation import Demonstrator

        if self.demonstrator is None:
            self.demonstrator = Demonstrator(self.task)
        return self.demonstrator.draw(count, generator)

    def without_revisits(self, policy: Any) -> Any:
        """Return a policy that acts as another does, but avoids the cells of its episode's past."""
        from .revisits import WithoutRevisits

        return WithoutRevisits(policy, self.task)

    def consult(self, agent: Any, question: Mapping[str, str]) -> "tuple[str, pd.DataFrame]":
        """Return which perturbations an agent would bring the cell ``start`` to the type ``target`` with."""
        from .consultation import consult

        return consult(self, agent, question)
