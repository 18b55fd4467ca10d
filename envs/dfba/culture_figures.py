"""Figures of one culture over time: concentrations, exchange fluxes, growth and what agents decide."""

from collections.abc import Mapping, Sequence

import numpy as np

from .panels import GREY, Drawing, Line, Panel, colour_of, dashes_of, stretches
from .repairs import OPTIMAL, STATUSES
from .run_records import Episode, FloatArray

MOST_PANELS = 8
MOST_AGENTS = 6
INFEASIBLE = "#D55E00"
NEGLIGIBLE = 1e-9


def draw_concentrations(episode: Episode, greedy: Episode | None = None) -> Drawing:
    """Return biomass of every agent and the species that change most, beside those of cells that regulate nothing."""
    panels = [Panel("biomass", "time (h)", "gDW/L", agent_lines(episode, "biomass"), shades=())]
    if greedy is not None:
        lines = (*panels[0].lines, *(reference(greedy, "biomass", agent) for agent in episode.agents[:1]))
        panels = [Panel("biomass", "time (h)", "gDW/L", lines)]
    for name in changing_species(episode)[: MOST_PANELS - 1]:
        own = Line(episode.time_h, episode.series["concentration", "", name], colour="#000000")
        lines = (own,) if greedy is None else (own, species_reference(greedy, name))
        panels.append(Panel(name, "time (h)", "mmol/L", lines))
    left_out = len(episode.species) - (len(panels) - 1)
    note = "one episode of the last policy on the test split" + (
        f"; {left_out} species that change less are not shown" if left_out else ""
    )
    return Drawing(tuple(panels), columns_for(len(panels)), "Concentrations", note)


def draw_fluxes(episode: Episode) -> Drawing:
    """Return the exchange fluxes of every agent, a panel for each of the species that are exchanged most."""
    fluxes = episode.of("exchange_flux")
    species = ranked({name: 0.0 for _, name in fluxes}, fluxes)[:MOST_PANELS]
    panels = []
    for name in species:
        lines = tuple(
            Line(episode.time_h, fluxes[agent, name], agent, colour_of(place), dashes_of(place), step=True)
            for place, agent in enumerate(episode.agents)
            if (agent, name) in fluxes
        )
        panels.append(Panel(name, "time (h)", "mmol/gDW/h", lines))
    note = "positive: secreted, negative: taken up; values at the end of every decision"
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
    actions = {name: values for (who, name), values in episode.of("action").items() if who == agent}
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
    title = f"{agent}: {next(iter(actions))}" if len(actions) == 1 else f"{agent}: actions"
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


def reference(greedy: Episode, quantity: str, agent: str) -> Line:
    """Return the thin grey line of cells that regulate nothing."""
    return Line(greedy.time_h, greedy.series[quantity, agent, agent], "greedy", GREY, (3, 2), 1.0)


def species_reference(greedy: Episode, name: str) -> Line:
    """Return the thin grey line of a species where cells regulate nothing."""
    return Line(greedy.time_h, greedy.series["concentration", "", name], "greedy", GREY, (3, 2), 1.0)


def changing_species(episode: Episode) -> list[str]:
    """Return the species in the order of the case, without those held constant; the most changing of very many."""
    spans = {name: float(np.ptp(episode.series["concentration", "", name])) for name in episode.species}
    moving = [name for name, span in spans.items() if span > NEGLIGIBLE] or episode.species
    chosen = set(sorted(moving, key=lambda name: -spans[name])[: MOST_PANELS - 1])
    return [name for name in moving if name in chosen]


def ranked(names: Mapping[str, float], fluxes: Mapping[tuple[str, str], FloatArray]) -> list[str]:
    """Return the species with the largest fluxes, in the order of the case."""
    sizes = dict(names)
    for (_, name), flux in fluxes.items():
        sizes[name] = max(sizes[name], float(np.abs(flux).max(initial=0.0)))
    kept = set(
        sorted((name for name in sizes if sizes[name] > NEGLIGIBLE), key=lambda name: -sizes[name])[:MOST_PANELS]
    )
    return [name for name in sizes if name in kept]


def columns_for(count: int) -> int:
    """Return how many panels stand side by side."""
    return count if count <= 3 else (2 if count == 4 else (3 if count in (5, 6) else 4))


def used_colours(agents: Sequence[str]) -> dict[str, str]:
    """Return the colour of every agent."""
    return {agent: colour_of(place) for place, agent in enumerate(agents)}
