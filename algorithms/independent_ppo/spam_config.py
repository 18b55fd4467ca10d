"""Options of the learner that SPAM-DFBA published."""

from dataclasses import dataclass

from ...configs.option import AlgorithmConfig, option


@dataclass(kw_only=True)
class SpamPPOConfig(AlgorithmConfig):
    """The independent learners of SPAM-DFBA 1.0.0 (Ghadermazi and Chan 2024, doi:10.1093/bioinformatics/btae003)."""

    _target_: str = option(
        "bioppo.algorithms.independent_ppo.spam_learner.build_independent_ppo_spam", "dotted name of its builder"
    )
    name: str = option("independent_ppo_spam", "name of the algorithm in directories and tables")
    gamma: float = option(1.0, "discount factor", above=0, maximum=1)
    clip_range: float = option(0.1, "the probability ratio is clipped to 1 +- this", above=0)
    grad_updates: int = option(10, "gradient steps of actor and critic per batch, each on the whole batch", minimum=1)
    actor_learning_rate: float = option(1e-4, "step size of the actor's Adam", above=0)
    critic_learning_rate: float = option(1e-3, "step size of the critic's Adam", above=0)
    action_std: float = option(
        0.1, "standard deviation of actions, never learned; published as actor_var, though it is no variance", above=0
    )
    hidden_size: int = option(20, "units of every layer", minimum=1)
    hidden_layers: int = option(8, "hidden layers after the first", minimum=0)
    share_hidden: bool = option(True, "all of them have the same weights, as published; false: each has its own")
    idle_first_batch: bool = option(True, "learn nothing from the first batch, as published")
