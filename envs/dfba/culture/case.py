"""Cases: which microbes live together, in what reactor and medium, and what they may decide."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .... import UserError
from ....configs.option import nearest
from ..flux_model import FluxModel
from ..kinetics import UptakeLaw, check_species, read_number, read_numbers, read_uptake_law
from ..model import load_model
from ..options import CaseOptions, load_options
from .extracellular import ExtracellularReactions
from .medium import Medium, match_species, read_medium
from .reactors import Reactor, read_reactor

FloatArray = NDArray[np.float64]

KINDS = ("signed", "secretion_floor", "uptake_limit", "feed_rate")
AGENT_KEYS = (
    "model", "edits", "biomass", "actions", "observables", "kinetics", "respect_lower", "policy",
)  # fmt: skip
ACTION_KEYS = ("reaction", "kind", "low", "high")
EVERY_EXCHANGE = "*"


@dataclass(frozen=True)
class Action:
    """One number that an agent decides.

    Attributes
    ----------
    label
        The reaction, or ``feed``.
    kind
        ``signed``: below 0 limits uptake, else forces secretion. ``secretion_floor``: least secretion, nothing at 0.
        ``uptake_limit``: share of the possible uptake. ``feed_rate``: L/h of a fed batch.
    low, high
        What the agent's scaled actions are mapped to.
    reaction
        Position in the model; -1 for ``feed``.
    species
        What the reaction exchanges, where the state has it.
    """

    label: str
    kind: str
    low: float
    high: float
    reaction: int
    species: str | None


@dataclass(frozen=True)
class Agent:
    """A microbe, or a strain: a model with what it may decide and see."""

    name: str
    model: FluxModel
    actions: tuple[Action, ...]
    observables: tuple[str, ...]
    laws: dict[str, UptakeLaw]
    respect_lower: bool
    policy: Any

    @property
    def actions_key(self) -> tuple[Any, ...]:
        """What of the actions matters to the linear program: agents that agree in it can share one."""
        return tuple((action.kind, action.reaction, action.species) for action in self.actions)


@dataclass(frozen=True)
class Case:
    """A loaded and checked case; data without behaviour.

    Attributes
    ----------
    names
        Columns of the state: agents, then species.
    initial
        Start of every episode, ``(S,)``, gDW/L and mmol/L.
    constant
        Columns that are held.
    static
        Uptake limits of species in excess, mmol/gDW/h.
    """

    options: CaseOptions
    dt_h: float
    horizon_steps: int
    agents: tuple[Agent, ...]
    names: tuple[str, ...]
    initial: FloatArray
    constant: tuple[int, ...]
    reactor: Reactor
    extracellular: ExtracellularReactions
    static: dict[str, float] = field(default_factory=dict)

    @property
    def species(self) -> tuple[str, ...]:
        """Names of the extracellular species."""
        return self.names[len(self.agents) :]

    def column(self, name: str) -> int:
        """Return the column of the state of an agent or species."""
        return self.names.index(name)


def load_case(case: Any) -> Case:
    """Load the models of a case given by name, path or content, and check everything that does not need a solution."""
    if isinstance(case, Case):
        return case
    options = load_options(case)
    if not options.agents:
        raise UserError("agents={}: give at least one agent, such as agents: {agent1: {model: toy_sa}}.")
    entries = {name: _agent_entry(name, entry) for name, entry in options.agents.items()}
    models = {name: _load_model(name, entry, options) for name, entry in entries.items()}
    medium = read_medium(options.medium, models)
    names = _names(options, models, medium)
    reactor = read_reactor(options.reactor, names, options.dt_h)
    return Case(
        options=options,
        dt_h=float(options.dt_h),
        horizon_steps=options.horizon_steps,
        agents=tuple(_agent(name, entry, models[name], names, reactor) for name, entry in entries.items()),
        names=names,
        initial=_initial(options, medium, names),
        constant=_constant(options, medium, names, reactor),
        reactor=reactor,
        extracellular=ExtracellularReactions(options.extracellular, names),
        static={species: limit for species, limit in medium.static.items() if species not in names},
    )


def _agent_entry(name: str, entry: Any) -> dict[str, Any]:
    if not isinstance(entry, Mapping) or "model" not in entry:
        raise UserError(f"agents.{name}={entry}: give at least model, such as {{model: toy_sa}}.")
    for key in entry:
        if key not in AGENT_KEYS:
            raise UserError(f"There is no key 'agents.{name}.{key}': {nearest(str(key), AGENT_KEYS)}")
    return dict(entry)


def _load_model(name: str, entry: Mapping[str, Any], options: CaseOptions) -> FluxModel:
    edits = dict(entry.get("edits") or {})
    if entry.get("biomass") is not None:
        edits["biomass"] = entry["biomass"]
    try:
        return load_model(str(entry["model"]), edits=edits or None, allow_download=options.allow_download)
    except UserError as error:
        raise UserError(f"agents.{name}.model: {error}") from error


def _names(options: CaseOptions, models: Mapping[str, FluxModel], medium: Medium) -> tuple[str, ...]:
    """Return agents, then the declared species, then those of the medium that have a concentration."""
    species: list[str] = []
    for name in map(str, options.species):
        more = [name]
        if name == EVERY_EXCHANGE:
            exchanged = dict.fromkeys(one for model in models.values() for one in model.exchanges)
            more = [one for one in exchanged if one not in species]
        species += more
    species += [name for name in (*medium.dynamic, *medium.constant) if name not in species]
    names = (*models, *species)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"agents and species name {', '.join(twice)} twice: give every column one name.")
    return names


def _initial(options: CaseOptions, medium: Medium, names: tuple[str, ...]) -> FloatArray:
    initial = np.zeros(len(names))
    given = medium.dynamic | medium.constant | read_numbers("initial", options.initial, minimum=0)
    for name, value in given.items():
        check_species("initial", name, names)
        initial[names.index(name)] = value
    if not initial[: len(options.agents)].any():
        raise UserError(f"initial gives no biomass to {', '.join(options.agents)}: give one of them more than 0 gDW/L.")
    return initial


def _constant(options: CaseOptions, medium: Medium, names: tuple[str, ...], reactor: Reactor) -> tuple[int, ...]:
    held = dict.fromkeys([*map(str, options.constant), *(s for s in medium.constant if s not in options.initial)])
    for name in held:
        check_species("constant", name, names)
        column = names.index(name)
        if name in options.agents:
            raise UserError(f"constant names the agent {name}: only species can be held.")
        if reactor.inlet[column]:
            raise UserError(
                f"constant holds {name} and reactor.inlet.{name}={reactor.inlet[column]:g} feeds it: drop one of both."
            )
    return tuple(names.index(name) for name in held)


def _agent(name: str, entry: Mapping[str, Any], model: FluxModel, names: tuple[str, ...], reactor: Reactor) -> Agent:
    observables = tuple(map(str, entry.get("observables") or names))
    for species in observables:
        check_species(f"agents.{name}.observables", species, names)
    actions = entry.get("actions") or []
    return Agent(
        name=name,
        model=model,
        actions=tuple(
            _action(f"agents.{name}.actions[{number}]", action, model, names, reactor)
            for number, action in enumerate(actions)
        ),
        observables=observables,
        laws=_laws(f"agents.{name}.kinetics", entry.get("kinetics") or {}, model, names),
        respect_lower=bool(entry.get("respect_lower", False)),
        policy=entry.get("policy", "learned"),
    )


def _action(key: str, entry: Any, model: FluxModel, names: tuple[str, ...], reactor: Reactor) -> Action:
    if not isinstance(entry, Mapping):
        raise UserError(f"{key}={entry}: give reaction, kind, low and high.")
    for name in entry:
        if name not in ACTION_KEYS:
            raise UserError(f"There is no key '{key}.{name}': {nearest(str(name), ACTION_KEYS)}")
    kind = str(entry.get("kind", "signed"))
    if kind not in KINDS:
        raise UserError(f"{key}.kind={kind}: {nearest(kind, KINDS)}")
    low = read_number(f"{key}.low", entry.get("low", 0.0))
    high = read_number(f"{key}.high", entry.get("high", 1.0))
    if low > high:
        raise UserError(f"{key}: low={low:g} and high={high:g}; give low <= high.")
    if kind != "signed" and low < 0:
        raise UserError(f"{key}: low={low:g} with kind={kind}; give at least 0.")
    if kind == "feed_rate":
        if reactor.kind != "fed_batch":
            raise UserError(f"{key}.kind=feed_rate with reactor.kind={reactor.kind}: only a fed_batch is fed.")
        return Action("feed", kind, low, high, -1, None)
    if "reaction" not in entry:
        raise UserError(f"{key}.reaction is missing: name a reaction of {model.name}.")
    position = model.position(str(entry["reaction"]))
    upper = float(model.upper[position])
    if kind != "uptake_limit" and high > upper:
        raise UserError(
            f"{key}: high={high:g} forces more than the upper bound {upper:g} of {entry['reaction']}; lower high."
        )
    if kind == "uptake_limit" and high > 1:
        raise UserError(f"{key}: high={high:g} with kind=uptake_limit, a share of the possible uptake; give at most 1.")
    species = next((one for one, place in model.exchanges.items() if place == position and one in names), None)
    if kind == "uptake_limit" and species is None:
        raise UserError(f"{key}: {entry['reaction']} exchanges nothing, so it has no uptake; use secretion_floor.")
    return Action(str(entry["reaction"]), kind, low, high, position, species)


def _laws(key: str, entry: Any, model: FluxModel, names: tuple[str, ...]) -> dict[str, UptakeLaw]:
    """Return the law of every species that the model exchanges and the state has, in the order of the state."""
    if not isinstance(entry, Mapping):
        raise UserError(f"{key}={entry}: give laws by species, and default.")
    laws: dict[str, UptakeLaw] = {}
    for name, law in entry.items():
        species = str(name)
        if species != "default":
            species = match_species(species, {"": model}) or species
            check_species(key, species, names)
        laws[species] = read_uptake_law(f"{key}.{name}", law, names)
    default = laws.pop("default", UptakeLaw())
    return {name: laws.get(name, default) for name in names if name in model.exchanges}
