"""Microbes in a reactor as a batched environment: one agent, or a community of several."""

from typing import TYPE_CHECKING, Any, ClassVar, cast

from ..batched import Metric
from ..evaluation import Evaluation, Policy, Trajectories
from .baselines import community_baselines
from .batched_culture import BatchedCulture
from .community import Community, StepOptions
from .config import DynamicFBAConfig
from .continuous import ContinuousCommunity
from .culture.case import load_case
from .evaluation import METRICS, measure_community
from .records.policy_map import policy_map
from .records.run_records import split_episode
from .records.runtime import measure_runtime
from .start import check_start

if TYPE_CHECKING:
    import pandas as pd


class DynamicFBAVectorEnv(BatchedCulture):
    """A culture that is measured, drawn and compared with simple baselines; see `BatchedCulture` for its steps.

    Parameters
    ----------
    community
        Shared with another environment of the same config; loaded where there is none.
    """

    metrics: tuple[Metric, ...] = METRICS
    logged_means: ClassVar[tuple[str, ...]] = ("infeasible", "tied")
    logged_extremes: ClassVar[tuple[str, ...]] = ("episode_return",)
    suggested_episodes = 8
    suggested_deterministic = True
    needs_baselines = True

    def __init__(
        self,
        config: DynamicFBAConfig,
        *,
        num_envs: int,
        seed: int,
        split: str = "train",
        community: Community | None = None,
    ) -> None:
        community = load_community(config) if community is None else community
        super().__init__(config, num_envs=num_envs, seed=seed, split=split, community=community)

    def measure(self, trajectories: Trajectories) -> Evaluation:
        """Return returns by agent, end states, infeasible and tied shares, and the error of the mass balance."""
        return measure_community(self.community, self.agents, trajectories)

    def inspect(self, agent: Any, evaluation: Evaluation) -> "dict[str, pd.DataFrame]":
        """Return ``policy_map``: what a policy does in states around those of the first evaluated episode."""
        table = evaluation.tables.get("concentrations")
        if table is None or not isinstance(agent, Policy):
            return {}
        return {"policy_map": policy_map(self, agent, split_episode(table))}

    def runtime(self, agent: Any, batches: "pd.DataFrame") -> dict[str, Any]:
        """Return seconds of linear programs, the policy, steps, batches and a whole simulation."""
        copies = self.sibling(self.num_envs, 0, "train")
        return measure_runtime(copies, agent if isinstance(agent, Policy) else None, batches)

    def baselines(self) -> dict[str, Any]:
        """Return greedy, the best constant bounds, and those with one agent idle."""
        return community_baselines(self)


def load_community(config: DynamicFBAConfig) -> Community:
    """Load the case of a config and check that its microbes can live at the start."""
    case = load_case(config.case)
    options = StepOptions(
        semantics=config.semantics,
        infeasible=tuple(config.infeasible or ()),
        death_rate=config.death_rate,
        substeps=config.substeps,
        tie_break=cast("str", config.tie_break),
        solver=config.solver,
        max_bases=config.max_bases,
        cross_check=config.cross_check,
        report_ties=config.report_ties,
        released=str(config.reward).removeprefix("release:") if str(config.reward).startswith("release:") else None,
        record_fluxes=config.record_fluxes,
    )
    community = (ContinuousCommunity if config.integrator == "lsoda" else Community)(case, options)
    check_start(community)
    return community
