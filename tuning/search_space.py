"""What a search varies and how: the settings of a search, and the dimensions of its space.

Nothing here knows Optuna beyond asking a trial for a value, so that mistakes are found before it is imported.
"""

import dataclasses
import json
import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import UserError
from ..configs.option import OptionError, Options, check_option, nearest, option
from ..configs.saved import flatten

if TYPE_CHECKING:
    import optuna

    from ..configs.schema import RunConfig

SEARCHED_GROUPS = ("env", "algo")
"""A search varies these; budget, seed and evaluation are what makes its trials comparable."""


@dataclass(kw_only=True)
class SearchConfig(Options):
    """How a search goes; `space` says over what."""

    space: dict[str, Any] = option({}, "what is varied: a key of the run, with its kind and range")
    objective: str = option(
        "final",
        "final: the headline metric on the validation split at the end of a run; area: the mean height of its "
        "learning curve over simulator calls; area_from_zero: the same of ten evaluations, after 0 at the start",
        choices=("final", "area", "area_from_zero"),
    )
    sampler: str = option("tpe", "how parameters are drawn", choices=("tpe", "random", "cmaes"))
    pruner: str = option("median", "which trials end early", choices=("median", "none", "hyperband"))
    pruner_trials: int = option(5, "pruner=median: trials that must have ended before one is pruned", minimum=0)
    pruner_warmup: float = option(
        0.0, "pruner=median: share of its evaluations before which no trial is pruned", minimum=0, below=1
    )
    n_trials: int = option(50, "trials in total, over all processes and restarts", minimum=1)
    seeds: list[int] = option([0], "training seeds of every trial; its score is their mean")
    trial_budget: int | None = option(None, "simulator calls of each of these runs; null: the run's budget", minimum=1)
    storage: str | None = option(None, "any URL that Optuna takes; null: a journal file in the study's directory")
    workers: int = option(1, "processes that share the trials", minimum=1)
    timeout: float | None = option(None, "no trial begins after so long", unit="s", above=0)
    top_k: int = option(3, "how many parameter sets are trained at full budget in the end", minimum=1)
    final_seeds: list[int] = option([1, 2, 3, 4, 5], "their training seeds")
    final_objective: str | None = option(
        None, "what these are ranked by; null: objective", choices=("final", "area", "area_from_zero")
    )
    final_average: str = option(
        "iqm", "over these seeds: interquartile mean (iqm), or the mean of all", choices=("iqm", "mean")
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("seeds", "final_seeds"):
            seeds = getattr(self, name)
            if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
                raise OptionError(f"{name}={list(seeds)}: give at least one seed, none negative and none twice.")


SETTINGS = tuple(entry.name for entry in dataclasses.fields(SearchConfig) if entry.name != "space")
"""What may be given on the command line by its own name."""

KINDS: dict[str, tuple[set[str], set[str]]] = {
    "float": ({"low", "high"}, {"log", "step"}),
    "int": ({"low", "high"}, {"log", "step"}),
    "categorical": ({"choices"}, set()),
}
"""By kind of dimension, the entries it needs and those it may have."""


@dataclass(frozen=True)
class Range:
    """Numbers between two ends, both possible."""

    low: float
    high: float
    whole: bool
    log: bool = False
    step: float | None = None

    @property
    def extremes(self) -> list[Any]:
        """The values that must be allowed for all to be."""
        return [self.low, self.high]

    def suggest(self, key: str, trial: "optuna.Trial") -> int | float:
        """Return the trial's value, drawn if it has none yet."""
        if self.whole:
            step = 1 if self.step is None else int(self.step)
            return trial.suggest_int(key, int(self.low), int(self.high), log=self.log, step=step)
        return trial.suggest_float(key, self.low, self.high, log=self.log, step=self.step)

    def decode(self, parameter: Any) -> Any:
        """Return the value that a stored parameter stands for."""
        return parameter


@dataclass(frozen=True)
class Choices:
    """Any of several values; Optuna stores scalars alone, so that lists go by their JSON text."""

    values: tuple[Any, ...]

    @property
    def extremes(self) -> list[Any]:
        """The values that must be allowed for all to be."""
        return list(self.values)

    def suggest(self, key: str, trial: "optuna.Trial") -> Any:
        """Return the trial's parameter, drawn if it has none yet."""
        return trial.suggest_categorical(key, list(self._by_parameter()))

    def decode(self, parameter: Any) -> Any:
        """Return the value that a stored parameter stands for."""
        return self._by_parameter()[parameter]

    def _by_parameter(self) -> dict[Any, Any]:
        return {json.dumps(value) if isinstance(value, list) else value: value for value in self.values}


Dimension = Range | Choices


def read_space(space: Mapping[str, Any], run: "RunConfig") -> dict[str, Dimension]:
    """Check a space against the run that it varies, and return its dimensions in their order.

    Raises
    ------
    UserError
        At the first key that the run has not, range or choice that cannot be, or value that the option refuses.
    """
    if not space:
        raise UserError("space={}: a search needs at least one key to vary, such as algo.learning_rate.")
    dimensions = {}
    for key, entry in space.items():
        owner, name = find_option(str(key), run)
        dimensions[str(key)] = dimension = _read_dimension(str(key), entry)
        for value in dimension.extremes:
            _check_value(str(key), owner, name, value)
    return dimensions


def find_option(key: str, run: "RunConfig") -> tuple[Any, str]:
    """Return the config object that has the option ``key`` of a run, and the option's name in it.

    Raises
    ------
    UserError
        With the nearest keys, if there is none.
    """
    whole = dataclasses.asdict(run)
    valid = flatten({group: whole[group] for group in SEARCHED_GROUPS})
    valid = {name: value for name, value in valid.items() if name.rpartition(".")[2] not in ("_target_", "name")}
    if key not in valid and not _is_in_free_mapping(key, run):
        raise UserError(f"space: there is no key '{key}' to vary: {nearest(key, valid)}")
    parent, _, name = key.rpartition(".")
    owner: Any = run
    for part in parent.split("."):
        owner = owner[part] if isinstance(owner, Mapping) else getattr(owner, part)
    return owner, name


def _is_in_free_mapping(key: str, run: "RunConfig") -> bool:
    """Return whether a key belongs to an option that holds a mapping of which nothing is declared, maybe empty."""
    group, *parts = key.split(".")
    owner: Any = getattr(run, group, None) if group in SEARCHED_GROUPS else None
    for part in parts[:-1]:
        within = owner
        owner = getattr(within, part, None) if isinstance(within, Options) else None
        if isinstance(within, Options) and isinstance(owner, Mapping):
            return True
    return False


def _read_dimension(key: str, entry: Any) -> Dimension:
    where = f"space.{key}"
    if not isinstance(entry, Mapping) or "kind" not in entry:
        raise UserError(f"{where}: give it a kind, {', '.join(KINDS)}, with low and high or choices.")
    kind, rest = entry["kind"], {str(name): value for name, value in entry.items() if name != "kind"}
    if kind not in KINDS:
        raise UserError(f"{where}.kind={kind}: {nearest(str(kind), KINDS)}")
    needed, optional = KINDS[kind]
    for name in rest:
        if name not in needed | optional:
            raise UserError(f"{where}: there is no '{name}' in kind {kind}: {nearest(name, needed | optional)}")
    for name in sorted(needed - rest.keys(), reverse=True):
        raise UserError(f"{where}: {name} is missing; kind {kind} needs {' and '.join(sorted(needed, reverse=True))}.")
    return _read_choices(where, rest["choices"]) if kind == "categorical" else _read_range(where, kind == "int", rest)


def _read_choices(where: str, choices: Any) -> Choices:
    if not isinstance(choices, list) or not choices:
        raise UserError(f"{where}.choices={choices}: give a list of values.")
    if any(isinstance(choice, Mapping) for choice in choices):
        raise UserError(f"{where}.choices={choices}: give numbers, words, true, false, null or lists of them.")
    if len({json.dumps(choice) for choice in choices}) < len(choices):
        raise UserError(f"{where}.choices={choices}: give every value once.")
    return Choices(tuple(choices))


def _read_range(where: str, whole: bool, entry: Mapping[str, Any]) -> Range:
    wanted = "a whole number" if whole else "a finite number"
    numbers = {name: entry[name] for name in ("low", "high", "step") if entry.get(name) is not None}
    for name, value in numbers.items():
        fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not fits:
            raise UserError(f"{where}.{name}={value}: give {wanted}.")
    low, high, step, log = numbers.get("low"), numbers.get("high"), numbers.get("step"), entry.get("log", False)
    if low is None or high is None:
        raise UserError(f"{where}: low and high must be numbers, not null.")
    if not isinstance(log, bool):
        raise UserError(f"{where}.log={log}: give true or false.")
    if low >= high:
        raise UserError(f"{where}: low={low} is not below high={high}; give low < high, or leave the key out.")
    if log and low <= 0:
        raise UserError(f"{where}.low={low}: with log: true give a number above 0.")
    if step is not None and (log or not 0 < step <= high - low):
        raise UserError(f"{where}.step={step}: give a step above 0, at most high - low, and not with log: true.")
    return Range(low if whole else float(low), high if whole else float(high), whole, log, step)


def _check_value(key: str, owner: Any, name: str, value: Any) -> None:
    """Refuse a value that the option does not take, whether by its type or by what it allows."""
    if not isinstance(owner, Options):  # a free mapping inside an option, of which nothing is declared
        return
    entry = next(field for field in dataclasses.fields(owner) if field.name == name)
    if not _is_of_type(value, typing.get_type_hints(type(owner))[name]):
        wanted = getattr(entry.type, "__name__", None) or str(entry.type)
        raise UserError(f"space.{key}: {value!r} is not of the option's type, {wanted}; give another kind or value.")
    try:
        check_option(entry, value)
        dataclasses.replace(owner, **{name: value})
    except OptionError as error:
        raise UserError(f"space.{key}: {error}") from error


def _is_of_type(value: Any, annotation: Any) -> bool:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any:
        return True
    if annotation is None or annotation is type(None):
        return value is None
    if origin is list:
        return isinstance(value, list) and all(_is_of_type(item, arguments[0]) for item in value)
    if origin is not None and origin is not dict:  # a union
        return any(_is_of_type(value, part) for part in arguments)
    if isinstance(value, bool):
        return annotation is bool
    if annotation is float:
        return isinstance(value, int | float)
    return isinstance(value, origin or annotation)
