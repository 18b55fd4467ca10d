"""Options of TRPO-preconditioned PPO."""

from dataclasses import dataclass
from typing import Any

from ...configs.option import AlgorithmConfig, OptionError, check_sizes, option

DEFAULT_TARGET_KL = 0.02
DEFAULT_TRPO_TIMESTEPS = 10_000


@dataclass(kw_only=True)
class TRPOPPOConfig(AlgorithmConfig):
    """TRPO-preconditioned PPO with a KL penalty (Boabang and Gyamerah 2025, arXiv:2510.13018)."""

    _target_: str = option("bioppo.algorithms.trpo_ppo.learner.build_trpo_ppo", "dotted name of its builder")
    name: str = option("trpo_ppo", "name of the algorithm in directories and tables")
    schedule: str = option(
        "per_iteration",
        "per_iteration: natural step, then PPO, on every rollout; two_phase: TRPO first, PPO afterwards",
        choices=("per_iteration", "two_phase"),
    )
    trpo_timesteps: int | None = option(
        None, "two_phase: rollouts that start before this many steps are TRPO's; null: 10000", minimum=1
    )
    delta: float = option(0.01, "largest mean KL divergence of a natural step, summed over actions", above=0)
    adaptive_delta: bool = option(
        False,
        "halve delta where a natural step gains under a quarter of what its gradient promised, and raise it by half "
        "where it gains over three quarters; within a factor 100 of delta",
    )
    cg_max_steps: int = option(15, "steps of the conjugate gradient that finds the direction", minimum=1)
    cg_damping: float = option(0.1, "multiple of the identity added to the Fisher matrix", minimum=0)
    damping_scale: str = option(
        "absolute",
        "cg_damping as it is (absolute), or times the number of action dimensions, over which the Fisher matrix is a "
        "sum (dimensions)",
        choices=("absolute", "dimensions"),
    )
    cg_rel_tol: float = option(1e-3, "the conjugate gradient ends at this residual over the gradient's norm", minimum=0)
    eps: float = option(1e-8, "added to g.d in the length of the step, sqrt(2 delta / (g.d + eps))", above=0)
    line_search: bool = option(True, "shorten the natural step until it keeps delta and improves the surrogate")
    ls_shrink: float = option(0.8, "a refused step is shortened by this", above=0, below=1)
    ls_max_iter: int = option(10, "lengths tried before the policy is left as it was", minimum=1)
    fvp: str = option(
        "gauss_newton",
        "Fisher-vector products as J'MJv (gauss_newton), or by differentiating the KL divergence twice "
        "(double_backward)",
        choices=("gauss_newton", "double_backward"),
    )
    fvp_max_states: int | None = option(
        None, "states drawn for those products; null: all; gradient and line search always use all", minimum=1
    )
    kl_reduce: str = option(
        "sum",
        "KL divergence over action dimensions in the natural step: sum, or mean as sb3-contrib's TRPO has it",
        choices=("sum", "mean"),
    )
    n_critic_updates: int = option(10, "two_phase: passes of the value function per TRPO rollout", minimum=1)
    beta: float = option(1.0, "weight of the KL penalty, or its first one", minimum=0)
    adaptive_beta: bool = option(True, "double or halve beta where the divergence leaves 1.5 times target_kl")
    # Whole numbers are a type of their own to OmegaConf.
    target_kl: float | int | str | None = option(
        "default",
        "divergence that PPO aims at, above 0: a number, default (0.02; auto in two_phase), auto (auto_factor x mean "
        "of the natural steps so far), or null: no early stop, beta fixed",
    )
    auto_factor: float = option(1.5, "that factor", above=0)
    clip_range: float | None = option(
        None, "also clip the probability ratio to 1 +- this; null: the penalty alone", above=0
    )
    ratio_reference: str = option(
        "theta_prime",
        "ratio and penalty refer to the policy after the natural step (theta_prime), or to the one that acted "
        "(theta_old)",
        choices=("theta_prime", "theta_old"),
    )
    n_epochs: int = option(10, "passes of PPO over the rollout", minimum=1)
    batch_size: int = option(64, "transitions per gradient step", minimum=2)
    value_continues_after_stop: bool = option(True, "after an early stop, go on with the value function alone")
    reset_adam_on_step: bool = option(False, "forget Adam's moments of the policy after every accepted natural step")
    learning_rate: float = option(3e-4, "Adam's step size", above=0)
    learning_rate_schedule: str = option(
        "constant",
        "learning rate over the budget: constant, linear to zero, or cosine to 1e-6",
        choices=("constant", "linear", "cosine"),
    )
    vf_coef: float = option(0.5, "weight of the squared value error, without a factor 1/2", minimum=0)
    ent_coef: float = option(0.0, "weight of the entropy bonus", minimum=0)
    max_grad_norm: float = option(0.5, "gradients are scaled down to this norm", above=0)
    n_steps: int = option(2048, "steps of every copy per rollout", minimum=1)
    gamma: float = option(0.99, "discount factor", above=0, maximum=1)
    gae_lambda: float = option(0.95, "decay of generalised advantage estimation", minimum=0, maximum=1)
    normalize_advantage: bool = option(True, "standardise the advantages of a rollout")
    use_masking: bool = option(False, "never draw discrete actions that the environment's action_masks() exclude")
    paper_compat_target_kl_zero: bool = option(
        False,
        "two_phase as the paper's notebooks ran it: target_kl 0, clip_range 0.2, no penalty, a fresh optimizer for "
        "PPO, batch_size 256, and nothing learned after an early stop",
    )
    policy: str = option(
        "mlp", "network: mlp, or with use_masking one that the environment has, such as afterstate in reprogramming"
    )
    policy_options: dict[str, Any] = option({}, "options of such a network")
    hidden_sizes: list[int] = option(
        [64, 64], "units of each hidden layer, for policy and value function alike; []: both are linear"
    )
    activation: str = option("tanh", "activation of hidden layers", choices=("tanh", "relu", "elu", "gelu"))
    log_std_init: float = option(0.0, "initial logarithm of the standard deviation of continuous actions")
    zero_last_layer: bool = option(False, "begin with mean actions of zero whatever is observed")
    normalize_observation: bool = option(False, "standardise observations by running moments")
    normalize_reward: bool = option(False, "scale rewards by the running deviation of returns")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes("hidden_sizes", self.hidden_sizes)
        if self.policy != "mlp" and not self.use_masking:
            raise OptionError(f"policy={self.policy}: networks of an environment take masks, so set use_masking=true.")
        self._check_target_kl()
        if self.paper_compat_target_kl_zero and self.schedule != "two_phase":
            raise OptionError(
                "paper_compat_target_kl_zero=true: the notebooks ran two phases, so set schedule=two_phase."
            )

    def _check_target_kl(self) -> None:
        target = self.target_kl
        if isinstance(target, str) and target not in ("default", "auto"):
            raise OptionError(f"target_kl={target}: give a number greater than 0, default, auto or null.")
        if isinstance(target, int | float) and target <= 0:
            raise OptionError(
                f"target_kl={target}: PPO would stop after its first minibatch, so give a value greater than 0, or "
                "null for no early stop (paper_compat_target_kl_zero=true repeats that quirk)."
            )
