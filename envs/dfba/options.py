"""What a case file and the environment's options may say; nothing here needs more than Python and YAML."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from ... import UserError
from ...configs.option import Options, build_options, nearest, option

DEFAULT_CASE = "starch_amylase/single"
CASES = Path(__file__).parents[2] / "configs" / "env" / "case"

MODES = ("freeze", "clip_action", "relax_maintenance", "decay")
"""What may be done where no flux fits the bounds."""

REWARDS = ("growth", "log_growth", "final_biomass", "spam")


@dataclass(kw_only=True)
class CaseOptions(Options):
    """A community and its surroundings, as a case file writes them."""

    dt_h: float = option(0.1, "length of a step", unit="h", above=0)
    horizon_steps: int = option(1000, "steps of dt_h in an episode", minimum=1)
    reactor: dict[str, Any] = option(
        {}, "kind (batch, chemostat, fed_batch or serial_dilution) with what belongs to it; inlet: what flows in"
    )
    initial: dict[str, Any] = option({}, "gDW/L of agents and mmol/L of species at the start; 0 if not listed")
    constant: list[Any] = option([], "species whose concentration is held")
    species: list[Any] = option(
        [], "extracellular species in the order of the state, after the agents; *: all that the models exchange"
    )
    agents: dict[str, Any] = option(
        {}, "by name: model, edits, biomass, actions, observables, kinetics, respect_lower, policy"
    )
    extracellular: list[Any] = option([], "reactions outside of the agents: stoichiometry, law and its keys")
    medium: Any = option(
        None, "CSV or YAML with species, mode, value and unit; or model, m9_glucose, or rows; null: initial says all"
    )
    grows_at_start: bool = option(True, "warn of agents that cannot grow at the start")
    allow_download: bool = option(False, "fetch models named bigg:ID")


def load_options(case: Any) -> CaseOptions:
    """Return the options of a case given by name, path or content.

    Raises
    ------
    UserError
        If there is no such case or file, or a key does not exist.
    """
    if isinstance(case, CaseOptions):
        return load_options(DEFAULT_CASE) if case == CaseOptions() else case
    if isinstance(case, Mapping):
        options: CaseOptions = build_options(CaseOptions, case, "case")
        return options
    path = Path(str(case))
    if path.suffix not in (".yaml", ".yml"):
        path = CASES / f"{case}.yaml"
        if not path.is_file():
            raise UserError(f"case={case} does not exist: {nearest(str(case), case_names())}")
    try:
        content = yaml.load(path.read_text(), Loader=_UniqueKeys)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"case={case} cannot be read ({error}): give a YAML file.") from error
    except yaml.YAMLError as error:
        raise UserError(f"case={case} is no YAML ({' '.join(str(error).split())}): mend the file.") from error
    if not isinstance(content, dict):
        raise UserError(f"case={case} holds no keys: write dt_h, agents, species and so on.")
    return load_options(content)


def case_names() -> list[str]:
    """Return the names of all cases that come with the package."""
    return sorted(str(path.relative_to(CASES).with_suffix("")) for path in CASES.rglob("*.yaml"))


def plain_case(options: CaseOptions) -> dict[str, Any]:
    """Return the content of a case as containers, to change and load again."""
    return asdict(options)


class _UniqueKeys(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
    """YAML whose mappings name every key once: two agents of one name are a mistake, not the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that stands twice; keys that come from an anchor with << may be replaced."""
        seen: dict[Any, int] = {}
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key != "<<" and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"'{key}' stands in line {seen[key]} and in line {key_node.start_mark.line + 1}",
                )  # fmt: skip
            seen[key] = key_node.start_mark.line + 1
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping
