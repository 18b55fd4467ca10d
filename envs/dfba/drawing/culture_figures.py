"""Figures of one culture over time: concentrations, exchange fluxes, growth and what agents decide."""

from collections.abc import Mapping, Sequence, Set

import numpy as np

from ..culture.repairs import OPTIMAL, STATUSES
from ..records.run_records import Episode, FloatArray, crossing_species, exchanged_amounts
from .panels import GREY, Drawing, Line, Panel, colour_of, dashes_of, stretches

MOST_PANELS = 12
MOST_AGENTS = 6
INFEASIBLE = "#D55E00"
NEGLIGIBLE = 1e-9


def draw_concentrations(episode: Episode, greedy: Episode | None = None, *, note: str = "") -> Drawing:
    """Return biomass of every agent and the species that change most, beside those of cells that regulate nothing.

    ``note`` says what culture it is.
    """
    lines = agent_lines(episode, "biomass")
    if greedy is not None:
        lines += tuple(reference(greedy, "biomass", agent, agent) for agent in unlike_agents(greedy))
    panels = [Panel("biomass", "time (h)", "gDW/L", lines)]
    for name in changing_species(episode)[: MOST_PANELS - 1]:
        own = Line(episode.time_h, episode.series["concentration", "", name], colour="#000000")
        lines = (own,) if greedy is None else (own, reference(greedy, "concentration", "", name))
        panels.append(Panel(name, "time (h)", "mmol/L", lines))
    left_out = len(episode.species) - (len(panels) - 1)
    note += f"; {left_out} species that change less, or not at all, are left out" if left_out else ""
    return Drawing(tuple(panels), columns_for(len(panels)), "Concentrations", note)


def draw_fluxes(episode: Episode) -> Drawing:
    """Return the exchange fluxes of every agent, a panel per species: those between agents, then the largest ones."""
    fluxes = episode.of("exchange_flux")
    species = ranked(fluxes, crossing_species(exchanged_amounts(episode)))
    panels = []
    for name in species:
        lines = tuple(
            Line(episode.time_h, fluxes[agent, name], agent, colour_of(place), dashes_of(place), step=True)
            for place, agent in enumerate(episode.agents)
            if (agent, name) in fluxes
        )
        panels.append(Panel(name, "time (h)", "mmol/gDW/h", lines))
    note = "positive: secreted, negative: taken up; values at the end of every decision"
    left_out = len({name for _, name in fluxes}) - len(species)
    note += f"; {left_out} species that are exchanged less, or not at all, are left out" if left_out else ""
    return Drawing(tuple(panels), columns_for(len(panels)), "Exchange fluxes", note)


def draw_growth(episode: Episode) -> Drawing:
    """Return growth of every agent, shaded where its bounds left no flux, and its actions over time."""
    panels: list[Panel] = []
    agents = episode.agents[:MOST_AGENTS]
    for place, agent in enumerate(agents):
        growth, status = episode.series["growth", agent, agent], episode.series["lp_status", agent, agent]
        shades = tuple((*ends, INFEASIBLE) for ends in stretches(episode.time_h, status != OPTIMAL))
        share = float(np.mean(status != OPTIMAL))
        title = f"{agent}: {share:.0%} infeasible" + infeasible_modes(status)
        line = Line(episode.time_h, growth, colour=colour_of(place), step=True)
        panels.append(Panel(title, "time (h)", "growth (1/h)", (line,), shades=shades))
        panels.append(action_panel(episode, agent, place, shades))
    left_out = len(episode.agents) - len(agents)
    note = "shaded: bounds left the agent no flux at the end of the decision" + (
        f"; {left_out} agents are not shown" if left_out else ""
    )
    return Drawing(tuple(panels), 2, "Growth and actions", note, size=(3.8, 1.75), shared_x=True)


def action_panel(episode: Episode, agent: str, place: int, shades: tuple[tuple[float, float, str], ...]) -> Panel:
    """Return an agent's actions over time."""
    found = episode.of("action")
    actions = {name: values for (who, name), values in found.items() if who == agent and np.isfinite(values).any()}
    units = {episode.units["action", agent, name] for name in actions}
    lines = tuple(
        Line(
            episode.time_h,
            values,
            name if len(actions) > 1 else "",
            colour_of(place if len(actions) == 1 else number),
            dashes_of(number),
            step=True,
        )
        for number, (name, values) in enumerate(actions.items())
    )
    title = f"{agent}: {next(iter(actions))}" if len(actions) == 1 else f"{agent}: {'' if actions else 'no '}actions"
    return Panel(title, "time (h)", f"bound ({', '.join(sorted(units))})" if any(units) else "bound", lines, (), shades)


def infeasible_modes(status: FloatArray) -> str:
    """Name what was done about infeasible programs."""
    modes = [STATUSES[code] for code in range(1, len(STATUSES)) if np.any(status == code)]
    return f" ({', '.join(modes)})" if modes else ""


def agent_lines(episode: Episode, quantity: str) -> tuple[Line, ...]:
    """Return a line per agent."""
    return tuple(
        Line(episode.time_h, episode.series[quantity, agent, agent], agent, colour_of(place), dashes_of(place))
        for place, agent in enumerate(episode.agents)
    )


def reference(greedy: Episode, quantity: str, agent: str, name: str) -> Line:
    """Return the thin grey line of cells that regulate nothing."""
    return Line(greedy.time_h, greedy.series[quantity, agent, name], "greedy", GREY, (3, 2), 1.0)


def unlike_agents(episode: Episode) -> list[str]:
    """Return the agents without those whose biomass is that of an agent before them."""
    courses: dict[bytes, str] = {}
    for (agent, _), biomass in episode.of("biomass").items():
        courses.setdefault(np.round(biomass, 9).tobytes(), agent)
    return list(courses.values())


def changing_species(episode: Episode) -> list[str]:
    """Return the species in the order of the case, without those held constant; the most changing of very many."""
    spans = {name: float(np.ptp(episode.series["concentration", "", name])) for name in episode.species}
    moving = [name for name, span in spans.items() if span > NEGLIGIBLE] or episode.species
    chosen = set(sorted(moving, key=lambda name: -spans[name])[: MOST_PANELS - 1])
    return [name for name in moving if name in chosen]


def ranked(fluxes: Mapping[tuple[str, str], FloatArray], crossing: Set[str]) -> list[str]:
    """Return the species to show, in the order of the case: those between agents before those with large fluxes."""
    sizes: dict[str, float] = {}
    for (_, name), flux in fluxes.items():
        sizes[name] = max(sizes.get(name, 0.0), float(np.abs(flux).max(initial=0.0)))
    moving = [name for name, size in sizes.items() if size > NEGLIGIBLE]
    kept = set(sorted(moving, key=lambda name: (name not in crossing, -sizes[name]))[:MOST_PANELS])
    return [name for name in moving if name in kept]


def columns_for(count: int) -> int:
    """Return how many panels stand side by side."""
    return count if count <= 3 else (2 if count == 4 else (3 if count in (5, 6) else 4))


def used_colours(agents: Sequence[str]) -> dict[str, str]:
    """Return the colour of every agent."""
    return {agent: colour_of(place) for place, agent in enumerate(agents)}
