"""Options of the kinetic environment."""

from dataclasses import dataclass

from ...configs.option import EnvConfig, OptionError, option

LN_KM_BOUNDS = (-25.0, 3.0)
"""ln(mol/L): no Michaelis constant leaves these, whatever the agent does."""

RULES = ("auto_saturation", "auto_log_uniform")


@dataclass(kw_only=True)
class KineticConfig(EnvConfig):
    """Find Michaelis constants that make a metabolic steady state stable and fast."""

    _target_: str = option("bioppo.envs.kinetic.environment.KineticVectorEnv", "dotted name of the environment's class")
    name: str = option("kinetic", "name of the environment in directories and tables")
    model: str = option("e_coli_core", "network and steady state", choices=("e_coli_core",))
    member: int = option(0, "which steady state of the model's ensemble", minimum=0)
    param: str = option(
        "ln_k_over_x",
        "what the agent moves, p: ln(K/x), with x the steady concentration, or ln K",
        choices=("ln_k_over_x", "ln_km"),
    )
    low: float = option(-6.0, "least value of p; K itself stays above e^-25 mol/L")
    high: float = option(6.0, "largest value of p; K itself stays below e^3 mol/L")
    start: str = option(
        "normal",
        "p at the start of an episode: N(0, start_scale), uniform between low and high, or zero",
        choices=("normal", "uniform", "zero"),
    )
    start_scale: float = option(0.5, "standard deviation of a normal start", above=0)
    horizon: int = option(5, "steps per episode", minimum=1)
    beta: float = option(1.0, "step size: p moves by beta times the action", above=0)
    action_limit: float = option(3.0, "actions are clipped to this absolute value before beta", above=0)
    time_feature: bool = option(True, "observe the share of the episode that has passed")
    reward: str = option(
        "asinh_potential",
        "asinh_potential: gain in -asinh(lambda_max - lambda_part); sigmoid: 1/(1+exp(lambda_max - lambda_part)); "
        "incidence: 1 if valid; exp10: exp(-lambda_max/10)/2",
        choices=("asinh_potential", "sigmoid", "incidence", "exp10"),
    )
    lambda_part: int | float | str = option(
        "auto_saturation",
        "largest eigenvalue of a valid set (negative), or a rule: the 0.3 % quantile over uniform saturations "
        "(auto_saturation) or over ln K uniform (auto_log_uniform)",
        unit="1/h",
    )
    stop_when_valid: bool = option(False, "end the episode at the first valid set")
    workers: int = option(1, "threads that share the eigenvalue problems of a batch", minimum=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low >= self.high:
            raise OptionError(f"low={self.low:g} and high={self.high:g}: give low < high.")
        if isinstance(self.lambda_part, str):
            if self.lambda_part not in RULES:
                raise OptionError(f"lambda_part={self.lambda_part}: give a negative number or {' or '.join(RULES)}.")
        elif self.lambda_part >= 0:
            raise OptionError(
                f"lambda_part={self.lambda_part}: a valid set is stable, so give a negative number or "
                f"{' or '.join(RULES)}."
            )
