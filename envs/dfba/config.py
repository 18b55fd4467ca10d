"""Options of the environment of microbial communities."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from ...configs.option import EnvConfig, OptionError, Options, option
from .options import DEFAULT_CASE, MODES, REWARDS, CaseOptions, load_options


@dataclass(kw_only=True)
class ObservationOptions(Options):
    """What agents see of the state."""

    scaling: str | None = option(
        None,
        "raw (concentrations, and steps that remain), log1p (log(1 + c/scale), and the share of time left) or fixed "
        "(c/scale); null: raw with semantics=spam, else log1p",
        choices=("raw", "log1p", "fixed"),
    )
    scale: dict[str, Any] = option(
        {}, "scale by species or agent; 0.1 for biomass and enzymes and 1 for others, unless it is given"
    )


@dataclass(kw_only=True)
class DynamicFBAConfig(EnvConfig):
    """Regulate microbes in a reactor, alone or with others, by dynamic flux balance analysis."""

    _target_: str = option("bioppo.envs.dfba.environment.DynamicFBAVectorEnv", "dotted name of the environment's class")
    name: str = option("dfba", "name of the environment in directories and tables")
    config_groups: ClassVar[dict[str, str]] = {"case": DEFAULT_CASE}

    case: CaseOptions = field(default_factory=CaseOptions)
    semantics: str = option(
        "standard",
        "standard (conserves matter) or spam (steps, bounds and rewards of SPAM-DFBA 1.0.0); sets what is null below",
        choices=("standard", "spam"),
    )
    frame_skip: int | None = option(None, "steps for which a decision holds; null: 1 with spam, else 10", minimum=1)
    action_range: str | None = option(
        None,
        "raw (an action is the bound itself, -20 to 20) or unit (-1 to 1 are mapped to low and high); null: raw with "
        "spam, else unit",
        choices=("raw", "unit"),
    )
    reward: str | None = option(
        None,
        "growth (biomass formed, gDW/L), log_growth (integral of mu), final_biomass, release:SPECIES (amount "
        "secreted), or spam (mu X per step, -1 where no flux fits); null: spam with spam, else growth",
    )
    infeasible_penalty: float = option(0.0, "reward lost per hour in which no flux fits", unit="1/h", minimum=0)
    infeasible: list[str] | None = option(
        None,
        "what is tried in this order where no flux fits: clip_action (force less), relax_maintenance (fall short of "
        "maintenance), decay (die at death_rate), freeze (stand still); null: freeze with spam, else the first two",
    )
    death_rate: float = option(0.0, "death, times the share of maintenance that is not met", unit="1/h", minimum=0)
    substeps: int | str = option(
        1, "Euler steps in a step, or auto: as many as the fastest uptake of a copy needs, up to 64", minimum=1
    )
    observation: ObservationOptions = field(default_factory=ObservationOptions)
    tie_break: str | None = option(
        None,
        "which of several best solutions: lexicographic (a fixed order of exchanges), parsimonious (least total "
        "flux) or vertex (what the solver finds); null: vertex with spam, else lexicographic",
        choices=("lexicographic", "parsimonious", "vertex"),
    )
    report_ties: bool = option(False, "count the steps in which exchange fluxes were not unique")
    solver: str = option("auto", "of linear programs", choices=("auto", "cache", "highs", "glpk"))
    cross_check: float = option(
        1e-3, "share of cached solutions that are solved again, to stop the run where they differ", minimum=0, maximum=1
    )
    max_bases: int | None = option(
        None, "bases kept of each model; null: 4096, or 256 with over 200 metabolites", minimum=1
    )
    horizon: str = option(
        "terminated",
        "end of the last step: terminated (nothing follows) or truncated (what would follow is bootstrapped)",
        choices=("terminated", "truncated"),
    )
    stop_when_extinct: bool = option(False, "end an episode when all biomass is below 1e-9 gDW/L")
    integrator: str = option(
        "euler", "euler, or lsoda, which is slow and there to validate", choices=("euler", "lsoda")
    )
    record_fluxes: bool = option(False, "keep all internal fluxes of evaluations")
    knots: int = option(25, "numbers per action in a schedule that a search looks for", minimum=2)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.case, CaseOptions) or self.case == CaseOptions():
            self.case = load_options(self.case)
        spam = self.semantics == "spam"
        self.frame_skip = self.frame_skip or (1 if spam else 10)
        self.action_range = self.action_range or ("raw" if spam else "unit")
        self.reward = self.reward or ("spam" if spam else "growth")
        self.tie_break = self.tie_break or ("vertex" if spam else "lexicographic")
        self.observation.scaling = self.observation.scaling or ("raw" if spam else "log1p")
        if self.infeasible is None:
            self.infeasible = ["freeze"] if spam else ["clip_action", "relax_maintenance"]
        for mode in self.infeasible:
            if mode not in MODES:
                raise OptionError(f"infeasible={mode}: choose among {', '.join(MODES)}.")
        if self.reward not in REWARDS and not self.reward.startswith("release:"):
            raise OptionError(f"reward={self.reward}: choose one of {', '.join(REWARDS)} or release:SPECIES.")
        if isinstance(self.substeps, str) and self.substeps != "auto":
            raise OptionError(f"substeps={self.substeps}: give a whole number or auto.")
        if self.case.horizon_steps % self.frame_skip:
            raise OptionError(
                f"frame_skip={self.frame_skip} does not divide case.horizon_steps={self.case.horizon_steps}: give a "
                "divisor."
            )
        if spam and self.substeps != 1:
            raise OptionError(f"substeps={self.substeps}: semantics=spam has one, so lower case.dt_h instead.")
        if self.integrator == "lsoda" and (spam or self.case.reactor.get("kind") in ("fed_batch", "serial_dilution")):
            raise OptionError(
                "integrator=lsoda: it integrates batch and chemostat with semantics=standard only; use euler."
            )
