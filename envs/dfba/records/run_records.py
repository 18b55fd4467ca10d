"""What a run's directory says of its cultures: evaluated episodes, final scores and who learned."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Episode:
    """One evaluated episode.

    Attributes
    ----------
    time_h
        ``(n_steps,)``, the ends of the decisions.
    series
        ``(n_steps,)`` each, by quantity, agent (empty for species) and id, as in `tables.tidy_table`.
    units
        Of each of them.
    """

    time_h: FloatArray
    series: dict[tuple[str, str, str], FloatArray]
    units: dict[tuple[str, str, str], str]

    @property
    def agents(self) -> list[str]:
        """Names of all agents, in the order of the case."""
        return [agent for quantity, agent, _ in self.series if quantity == "biomass"]

    @property
    def species(self) -> list[str]:
        """Names of all species, in the order of the case."""
        return [name for quantity, _, name in self.series if quantity == "concentration"]

    def of(self, quantity: str) -> dict[tuple[str, str], FloatArray]:
        """Return all series of a quantity by agent and id."""
        return {(agent, name): values for (kind, agent, name), values in self.series.items() if kind == quantity}


def split_episode(table: "pd.DataFrame", episode: int | None = None) -> Episode:
    """Return one episode of a tidy table (the first one unless it is named) as arrays.

    Where states have rows for the start, which fluxes have not, those are left out.
    """
    import pandas as pd

    chosen = table[table["episode"] == (table["episode"].min() if episode is None else episode)]
    codes = [pd.factorize(chosen[key], use_na_sentinel=False) for key in ("quantity", "agent", "id")]
    place = np.zeros(len(chosen), dtype=np.int64)
    for code, names in codes:
        place = place * len(names) + code
    order = np.argsort(place, kind="stable")
    begins = np.flatnonzero(np.diff(np.concatenate([[-1], place[order]])))
    time, value = chosen["time_h"].to_numpy(), chosen["value"].to_numpy(dtype=np.float64)
    unit = chosen["unit"].to_numpy()
    parts = sorted(np.split(order, begins[1:]), key=lambda rows: int(rows[0]))
    count = min(map(len, parts))
    parts = [rows[len(rows) - count :] for rows in parts]
    series: dict[tuple[str, str, str], FloatArray] = {}
    units: dict[tuple[str, str, str], str] = {}
    for rows in parts:
        names = [labels[code[rows[0]]] for code, labels in codes]
        key = (str(names[0]), "" if names[1] is None or names[1] != names[1] else str(names[1]), str(names[2]))
        series[key], units[key] = value[rows], str(unit[rows[0]] or "")
    return Episode(time[parts[0]], series, units)


def read_episode(run_directory: Path, agent: str) -> Episode | None:
    """Return the first evaluated episode of an agent of the result, such as ``last`` or ``greedy``; None: not there."""
    import pandas as pd

    path = run_directory / "tables" / f"{agent}_concentrations.parquet"
    if not path.exists():
        return None
    return split_episode(pd.read_parquet(path, filters=[("episode", "==", 0)]))


def read_scores(run_directory: Path) -> dict[str, dict[str, float]]:
    """Return the scores of every agent of a finished run by the agent's name; none of an unfinished one."""
    path = run_directory / "result.json"
    agents: dict[str, dict[str, float]] = {}
    for key, value in (json.loads(path.read_text()) if path.exists() else {}).items():
        agent, slash, name = key.partition("/")
        if slash and value is not None:
            agents.setdefault(agent, {})[name] = float(value)
    return agents


def read_learning_agents(run_directory: Path) -> list[str]:
    """Return the names of the agents that learned."""
    path = run_directory / "provenance.json"
    facts: dict[str, Any] = json.loads(path.read_text()).get("environment") or {} if path.exists() else {}
    return [str(name) for name in facts.get("learning", [])]


def exchanged_amounts(episode: Episode) -> "pd.DataFrame":
    """Return what each agent secreted and took up over an episode: agent, species, secreted, taken_up (mmol/L).

    Sums of flux times biomass times duration, with the values at the end of every decision.
    """
    import pandas as pd

    time = episode.time_h
    hours = np.diff(np.concatenate([[0.0], time]))
    biomass = {agent: values for (agent, _), values in episode.of("biomass").items()}
    rows = []
    for (agent, species), flux in episode.of("exchange_flux").items():
        amount = flux * biomass[agent] * hours
        rows.append((agent, species, float(amount.clip(min=0).sum()), float(-amount.clip(max=0).sum())))
    return pd.DataFrame(rows, columns=["agent", "species", "secreted", "taken_up"])


def crossing_species(amounts: "pd.DataFrame", share: float = 1e-3) -> set[str]:
    """Return the species that one agent secretes and another one takes up, above this share of the larger amount."""
    found = set()
    for name, rows in amounts.groupby("species"):
        least = share * float(rows[["secreted", "taken_up"]].to_numpy().max())
        givers = set(rows.loc[rows["secreted"] > least, "agent"])
        takers = set(rows.loc[rows["taken_up"] > least, "agent"])
        if any(giver != taker for giver in givers for taker in takers):
            found.add(str(name))
    return found
