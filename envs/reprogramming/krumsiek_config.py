"""Options of the environment of eleven genes as equations."""

from dataclasses import dataclass

from ...configs.option import EnvConfig, option


@dataclass(kw_only=True)
class KrumsiekConfig(EnvConfig):
    """Move a myeloid cell of eleven genes, as equations with noise, to a target type by few perturbations."""

    _target_: str = option(
        "bioppo.envs.reprogramming.krumsiek_environment.KrumsiekVectorEnv", "dotted name of the environment's class"
    )
    name: str = option("reprogramming_krumsiek11", "name of the environment in directories and tables")
    sigma: float = option(0.03, "deviation of every level's noise per root of a gene's lifetime", minimum=0)
    horizon: int = option(10, "most perturbations of an episode", minimum=1)
    step_penalty: float = option(-1.0, "reward of every perturbation")
    goal_bonus: float = option(0.0, "reward of reaching the target")
