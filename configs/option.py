"""Options: dataclass fields that carry their meaning, unit and allowed values.

A config dataclass is the one list of an environment's or algorithm's options: Hydra's schema, the error messages and
the printed tables are all read from it. This module imports the standard library only, so that composing stays fast.
"""

import copy
import dataclasses
import difflib
import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from .. import UserError

PLAIN_COPIES = 8
"""How many copies of an environment are stepped one after the other, unless the user says otherwise."""


def option(
    default: Any,
    meaning: str,
    *,
    unit: str = "",
    choices: Sequence[Any] = (),
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
    below: float | None = None,
) -> Any:
    """Declare a dataclass field with its meaning, unit and allowed values.

    ``minimum`` and ``maximum`` are inclusive, ``above`` and ``below`` exclusive. ``None`` as a value is allowed
    wherever the field's type allows it and is never compared with a bound. Mutable defaults are copied for every
    instance.
    """
    metadata = {
        "meaning": meaning,
        "unit": unit,
        "choices": tuple(choices),
        "minimum": minimum,
        "above": above,
        "maximum": maximum,
        "below": below,
    }
    if isinstance(default, list | dict):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


class OptionError(UserError):
    """An option's value is not allowed; the message begins with the option's name."""


@dataclass(kw_only=True)
class Options:
    """Base of every config dataclass: checks each option against its declared values when it is made."""

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):
            check_option(entry, getattr(self, entry.name))


def build_options(schema: type[Options], values: Mapping[str, Any], prefix: str) -> Any:
    """Make an options object, and those inside it, from plain mappings.

    Raises
    ------
    UserError
        If a key does not exist or a value is not allowed; the message names the key behind ``prefix``.
    """
    parts = {entry.name: entry.type for entry in dataclasses.fields(schema)}
    path = f"{prefix}." if prefix else ""
    made = {}
    for key, value in values.items():
        if key not in parts:
            raise UserError(f"There is no key '{path}{key}': {nearest(key, parts)}")
        part = parts[key]
        if isinstance(part, type) and issubclass(part, Options) and isinstance(value, Mapping):
            value = build_options(part, value, f"{path}{key}")
        made[key] = value
    try:
        return schema(**made)
    except OptionError as error:
        raise UserError(f"{path}{error}") from error


def check_option(entry: dataclasses.Field[Any], value: Any) -> None:
    """Raise :class:`OptionError` where ``value`` is outside what the field ``entry`` declares."""
    allowed = entry.metadata
    if value is None or not allowed:
        return
    if allowed["choices"] and value not in allowed["choices"]:
        raise OptionError(f"{entry.name}={value}: choose one of {', '.join(map(str, allowed['choices']))}.")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    if not math.isfinite(value):
        raise OptionError(f"{entry.name}={value}: give a finite number.")
    unit = f" {allowed['unit']}" if allowed["unit"] else ""
    for bound, holds, words in (
        ("minimum", operator.ge, "at least"),
        ("above", operator.gt, "greater than"),
        ("maximum", operator.le, "at most"),
        ("below", operator.lt, "less than"),
    ):
        limit = allowed[bound]
        if limit is not None and not holds(value, limit):
            raise OptionError(f"{entry.name}={value}: give a value of {words} {limit:g}{unit}.")


def check_sizes(name: str, sizes: Sequence[int]) -> None:
    """Raise :class:`OptionError` where a list of layer sizes holds one that is not positive."""
    if any(size < 1 for size in sizes):
        raise OptionError(f"{name}={list(sizes)}: give positive numbers of units.")


ROOMS = ("algorithms", "cli", "configs", "datasets", "envs", "reports", "training", "tuning")


def check_target(target: str) -> None:
    """Refuse a dotted name that begins with a folder of this package, which would import it a second time."""
    if target.partition(".")[0] in ROOMS:
        raise UserError(f"_target_={target} begins with a folder of bioppo: write bioppo.{target}.")


def nearest(name: str, valid: Iterable[str], count: int = 3) -> str:
    """Return the valid names closest to a mistyped one, or all of them if none is close, as a phrase."""
    names = sorted(valid)
    close = difflib.get_close_matches(name, names, n=count, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(close) + "?"
    return "choose one of " + ", ".join(names) + "."


@dataclass(kw_only=True)
class EnvConfig(Options):
    """What every environment's config has."""

    shorthands: ClassVar[dict[str, str]] = {}
    """Options inside a part that `bioppo.make_env` takes by their own name, and which part that is."""
    single_options: ClassVar[dict[str, Any]] = {}
    """What one copy has as a plain Gymnasium environment unless the caller says otherwise."""
    _target_: str = option("", "dotted name of the environment's class")
    name: str = option("", "name of the environment in directories and tables")
    num_envs: int = option(64, "copies stepped together while training", minimum=1)


@dataclass(kw_only=True)
class AlgorithmConfig(Options):
    """What every algorithm's config has."""

    kind: ClassVar[str] = "learned"
    """learned (a policy from experience), search (an answer without acting) or rule (nothing is adapted)."""
    _target_: str = option("", "dotted name of its builder")
    name: str = option("", "name of the algorithm in directories and tables")


class MissingOptionError(OptionError, AttributeError):
    """User code asks for an option that its YAML file does not give; ``hasattr`` and ``getattr`` work as usual."""


class FreeOptions(dict[str, Any]):
    """Options of user code, which have no schema: a dictionary whose keys are attributes too, at any depth."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in self:
            raise MissingOptionError(f"{name} is missing: give it in the YAML file; there is {', '.join(self)}.")
        value = self[name]
        return FreeOptions(value) if isinstance(value, dict) else value


def option_table(schema: type[Options]) -> str:
    """Return a Markdown table of a config's options: name, default, unit and meaning with what is allowed."""
    lines = ["| option | default | unit | meaning |", "|---|---|---|---|"]
    lines += [
        f"| `{entry.name}` | `{shown_default(entry)}` | {entry.metadata['unit']} | "
        f"{entry.metadata['meaning']}{allowed_values(entry)} |"
        for entry in described_options(schema)
    ]
    return "\n".join(lines)


def described_options(schema: type[Options]) -> list[dataclasses.Field[Any]]:
    """Return the fields that users set, with dotted names: all that have a meaning, without target and name."""
    described = []
    for entry in dataclasses.fields(schema):
        if isinstance(entry.type, type) and issubclass(entry.type, Options):
            described += [_renamed(part, f"{entry.name}.{part.name}") for part in described_options(entry.type)]
        elif entry.metadata and entry.name not in ("_target_", "name"):
            described.append(entry)
    return described


def _renamed(entry: dataclasses.Field[Any], name: str) -> dataclasses.Field[Any]:
    renamed = copy.copy(entry)
    renamed.name = name
    return renamed


def shown_default(entry: dataclasses.Field[Any]) -> str:
    """Return an option's default as YAML has it."""
    default = entry.default_factory() if callable(entry.default_factory) else entry.default
    return "null" if default is None else str(default).lower() if isinstance(default, bool) else str(default)


def allowed_values(entry: dataclasses.Field[Any]) -> str:
    """Return the allowed values as words in brackets; choices that the meaning explains already are left out."""
    allowed = entry.metadata
    unexplained = [str(choice) for choice in allowed["choices"] if str(choice) not in allowed["meaning"]]
    if unexplained:
        return f" ({', '.join(map(str, allowed['choices']))})"
    words = (("minimum", "at least"), ("above", "above"), ("maximum", "at most"), ("below", "below"))
    limits = [f"{word} {allowed[bound]:g}" for bound, word in words if allowed[bound] is not None]
    return f" ({', '.join(limits)})" if limits else ""
