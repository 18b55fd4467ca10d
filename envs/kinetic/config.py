"""Options of the kinetic environment."""

import math
from dataclasses import dataclass
from typing import Any

from ...configs.option import EnvConfig, OptionError, option

LN_KM_BOUNDS = (-25.0, 3.0)
"""ln(mol/L): no Michaelis constant leaves these, whatever the agent does."""

RULES = ("auto_saturation", "auto_log_uniform")


@dataclass(kw_only=True)
class KineticConfig(EnvConfig):
    """Find Michaelis constants that make a metabolic steady state stable and fast."""

    _target_: str = option("bioppo.envs.kinetic.environment.KineticVectorEnv", "dotted name of the environment's class")
    name: str = option("kinetic", "name of the environment in directories and tables")
    model: str = option(
        "e_coli_core",
        "network: e_coli_core (built from cobra's textbook model), renaissance384 and varma (published files, fetched "
        "by bioppo data get or given by path), skimpy (a SKiMpy YAML with a table of states), cobra (SBML or JSON)",
        choices=("e_coli_core", "renaissance384", "varma", "skimpy", "cobra"),
    )
    model_file: str | None = option(
        None, "the model's YAML, SBML or JSON file; null: the published one, where there is"
    )
    state_file: str | None = option(
        None, "table of steady states (CSV) or a computed one (JSON); null: the published or a computed one"
    )
    member: int | str = option(
        0, "which steady state: a number of a computed ensemble, or a row of state_file by number or name", minimum=0
    )
    members: list[Any] | None = option(None, "train on several steady states, one drawn per episode; null: on member")
    held_out: list[Any] | None = option(
        None, "steady states of the test split, never trained on; null: those of training"
    )
    search_calls: list[int] = option(
        [], "baselines that search every test state anew: ORACLE and CMA-ES with each of these numbers of calls"
    )
    flux_scale: float = option(
        0.3, "mol/L/h for 1 mmol/gDW/h: 1e-3 x density (1200 g/L) x dry weight per wet weight (0.25)", above=0
    )
    complete: bool = option(
        False, "fill in what a row of state_file lacks by computed values, which its provenance calls assumed"
    )
    flux_file: str | None = option(
        None, "cobra: CSV with reaction and flux (mmol/gDW/h); null: fluxes of the growth optimum"
    )
    concentration_file: str | None = option(
        None, "cobra: CSV with species and concentration, in concentration_unit; null: typical values are drawn"
    )
    directions: dict[str, Any] = option({}, "computed states: +1 or -1 by reaction, whatever its flux")
    smallest_flux: float = option(
        0.05, "computed states: least absolute flux of a reaction without a known one", unit="mmol/gDW/h", above=0
    )
    constants: list[str] = option([], "cobra: species without a mass balance, besides those outside")
    left_out: list[str] = option([], "cobra: reactions that are left out, besides boundary reactions")
    irreversible: list[str] = option(
        [], "cobra: reactions without thermodynamic meaning, besides objective, biomass and maintenance"
    )
    resting: str = option(
        "remove", "cobra: remove reactions at rest, or drive them with smallest_flux", choices=("remove", "drive")
    )
    concentration_unit: str | None = option(
        None,
        "unit of Km and concentrations stored in model_file; needed where they are used",
        choices=("M", "mM", "uM", "nM"),
    )
    include_inert: bool = option(True, "also move constants that take no part in any rate, as the published task does")
    order: str = option(
        "file", "order of the parameters: of the file, or renaissance (as published)", choices=("file", "renaissance")
    )
    fixed: dict[str, Any] = option({}, "measured constants that stay as they are: name to value", unit="mol/L")
    ranges: dict[str, Any] = option({}, "constants known within bounds: name to [low, high]", unit="mol/L")
    param: str = option(
        "ln_k_over_x",
        "what the agent moves, p: ln(K/x), with x the steady concentration, or ln K",
        choices=("ln_k_over_x", "ln_km"),
    )
    low: float = option(-6.0, "least value of p; K itself stays above e^-25 mol/L")
    high: float = option(6.0, "largest value of p; K itself stays below e^3 mol/L")
    start: str = option(
        "normal",
        "p at the start of an episode: normal (0, start_scale), uniform between low and high, fixed (start_value "
        "everywhere), or file (a set drawn from start_file)",
        choices=("normal", "uniform", "fixed", "file"),
    )
    start_scale: float = option(0.5, "standard deviation of a normal start", above=0)
    start_value: float = option(0.0, "p of a fixed start")
    start_file: str | None = option(
        None, "sets for start=file (CSV, NPZ or HDF5); null: the constants stored in model_file"
    )
    horizon: int = option(5, "steps per episode", minimum=1)
    beta: float = option(1.0, "step size: p moves by beta times the action", above=0)
    action_limit: float = option(3.0, "actions are clipped to this absolute value before beta", above=0)
    time_feature: bool = option(True, "observe the share of the episode that has passed")
    condition: bool = option(
        False, "observe the steady state too: concentrations, fluxes and displacements, standardised over members"
    )
    reward: str = option(
        "asinh_potential",
        "asinh_potential: gain in -asinh(lambda_max - lambda_part); asinh: that itself; sigmoid: 1/(1+exp(lambda_max - "
        "lambda_part)); incidence: 1 if valid; exp10: exp(-lambda_max/10)/2",
        choices=("asinh_potential", "asinh", "sigmoid", "incidence", "exp10"),
    )
    reward_offset: float = option(0.0, "added to every reward")
    robustness_weight: float = option(
        0.0,
        "reward, at the end of an episode, for the share of displaced starts from which a valid set's nonlinear model "
        "returns to the steady state",
        minimum=0,
    )
    robustness_starts: int = option(
        1, "displaced starts of a set in a reward, each a simulator call; measurements take ten", minimum=1
    )
    robustness_displacement: float = option(
        0.25, "largest relative displacement of a start in a reward", above=0, below=1
    )
    robustness_sets: int = option(
        0, "how many valid sets of a test are integrated, at displacements of 10, 25 and 50 %", minimum=0
    )
    lambda_part: int | float | str = option(
        "auto_saturation",
        "largest eigenvalue of a valid set (negative), or a rule: the 0.3 % quantile over uniform saturations "
        "(auto_saturation) or over ln K uniform (auto_log_uniform)",
        unit="1/h",
    )
    lambda_part_scope: str = option(
        "member",
        "a rule calibrates each steady state by itself (member), or the first one for all (reference)",
        choices=("member", "reference"),
    )
    stop_when_valid: bool = option(False, "end the episode at the first valid set")
    workers: int = option(1, "threads that share the eigenvalue problems of a batch", minimum=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low >= self.high:
            raise OptionError(f"low={self.low:g} and high={self.high:g}: give low < high.")
        for key in ("members", "held_out"):
            rows = getattr(self, key)
            if rows is not None and (not rows or not all(map(_names_a_state, rows))):
                raise OptionError(f"{key}={rows}: give at least one steady state, each by number (from 0) or name.")
        if any(calls < 1 for calls in self.search_calls):
            raise OptionError(f"search_calls={list(self.search_calls)}: give numbers of at least 1.")
        _check_known_constants(self)
        if isinstance(self.lambda_part, str):
            if self.lambda_part not in RULES:
                raise OptionError(f"lambda_part={self.lambda_part}: give a negative number or {' or '.join(RULES)}.")
        elif self.lambda_part >= 0:
            raise OptionError(
                f"lambda_part={self.lambda_part}: a valid set is stable, so give a negative number or "
                f"{' or '.join(RULES)}."
            )


def _names_a_state(row: Any) -> bool:
    return isinstance(row, str) or (isinstance(row, int) and not isinstance(row, bool) and row >= 0)


def _check_known_constants(config: KineticConfig) -> None:
    """Refuse measured constants and bounds that no Michaelis constant can have."""
    box = f"between {math.exp(LN_KM_BOUNDS[0]):.2g} and {math.exp(LN_KM_BOUNDS[1]):.3g} mol/L"
    for name, value in config.fixed.items():
        if not _inside_box(value):
            raise OptionError(f"fixed.{name}={value}: give a value {box}.")
    for name, bounds in config.ranges.items():
        pair = list(bounds) if isinstance(bounds, list | tuple) else []
        if len(pair) != 2 or not all(map(_inside_box, pair)) or not pair[0] < pair[1]:
            raise OptionError(f"ranges.{name}={bounds}: give [low, high] with low < high, both {box}.")
        if name in config.fixed:
            raise OptionError(f"ranges.{name}={bounds}: the constant is fixed too; name it in one of the two.")


def _inside_box(value: Any) -> bool:
    """Whether a value is a number, mol/L, that a Michaelis constant can have."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        return False
    return LN_KM_BOUNDS[0] <= math.log(value) <= LN_KM_BOUNDS[1]
