"""Studies of one setting: what training returns at each of its values, over seeds."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ....configs.saved import read_config
from ..records.run_records import read_scores
from .learning_figures import learning_table, mean_interval, pooled, reference_levels, variant_line
from .panels import Bars, Drawing, Panel, colour_of

if TYPE_CHECKING:
    import pandas as pd

LAST = 50
"""Updates whose mean return counts as the end."""
STUCK = 1e-3
"""A run whose end is within this share of the return of greedy cells is stuck there."""


def option_of(*keys: str) -> Callable[[Mapping[str, Any]], Any]:
    """Return what reads the first of these options of the algorithm that a config has."""

    def read(config: Mapping[str, Any]) -> Any:
        return next((config["algo"][key] for key in keys if config["algo"].get(key) is not None), None)

    return read


def transfer_rate(config: Mapping[str, Any]) -> Any:
    """Return the rate constant of the case's mass transfer, 1/h; None where it has none."""
    case = config["env"].get("case") or {}
    reactions = case.get("extracellular") or [] if isinstance(case, Mapping) else []
    rates = {entry.get("k", 0.01) for entry in reactions if entry.get("law") == "mass_transfer"}
    return rates.pop() if len(rates) == 1 else None


SETTINGS: dict[str, tuple[str, Callable[[Mapping[str, Any]], Any]]] = {
    "clip": ("clip range of the probability ratio", option_of("clip_range")),
    "gradient_steps": ("gradient steps per batch", option_of("grad_updates", "n_epochs")),
    "learning_rate": ("learning rate of the actor", option_of("actor_learning_rate", "learning_rate")),
    "actor_sd": ("standard deviation of actions", option_of("action_std")),
    "mass_transfer": ("rate constant of mass transfer (1/h)", transfer_rate),
}


def varied_settings(variants: Mapping[str, Sequence[Path]]) -> dict[str, dict[Any, list[Path]]]:
    """Return the settings in which the variants differ, with the runs of every value in ascending order.

    Empty where several of them differ, or the learners do: their effects would be mixed up.
    """
    configs = [(directory, read_config(directory)) for directories in variants.values() for directory in directories]
    found: dict[str, dict[Any, list[Path]]] = {}
    for name, (_, read) in SETTINGS.items():
        values: dict[Any, list[Path]] = {}
        for directory, config in configs:
            value = read(config)
            if value is not None:
                values.setdefault(value, []).append(directory)
        if len(values) > 1 and len({str(config["algo"].get("name")) for _, config in configs}) == 1:
            found[name] = {value: values[value] for value in sorted(values)}
    return found if len(found) == 1 else {}


def setting_table(runs: Mapping[Any, Sequence[Path]]) -> "pd.DataFrame":
    """Return a row per run: value, run, start, end, best, greedy, stuck, and final amounts of the last policy.

    ``start`` is the mean training return of the first update, ``end`` of the last 50, both means over agents; a run is
    ``stuck`` whose end is within 0.1 % of what greedy cells return.
    """
    import pandas as pd

    rows = []
    for value, directories in runs.items():
        for number, directory in enumerate(directories):
            curve = pooled([learning_table(directory)], "training", None)
            scores = read_scores(directory)
            returns = np.array([np.nan]) if curve is None else curve["mean"].to_numpy()
            end, greedy = float(returns[-LAST:].mean()), scores.get("greedy", {}).get("mean_return", np.nan)
            last = scores.get("last", {})
            row = {
                "value": value,
                "run": number,
                "start": float(returns[0]),
                "end": end,
                "highest": float(returns.max()),
            }
            row |= {"greedy": greedy, "stuck": bool(abs(end - greedy) <= STUCK * abs(greedy))}
            rows.append(row | {key: last[key] for key in last if key.startswith("final_")})
    return pd.DataFrame(rows)


def draw_setting(name: str, runs: Mapping[Any, Sequence[Path]], table: "pd.DataFrame") -> Drawing:
    """Return training curves for each value, where they end and how many seeds are stuck, or what starch is left."""
    meaning = SETTINGS[name][0]
    lines = []
    for place, (value, directories) in enumerate(runs.items()):
        found = pooled([learning_table(directory) for directory in directories], "training", None)
        if found is not None:
            lines.append(variant_line(found, f"{value:g}", place))
    scores = next((scores for runs_ in runs.values() for run in runs_ if (scores := read_scores(run))), {})
    curves = Panel("training", "simulator calls", "mean return of agents", tuple(lines), reference_levels(scores))
    panels = [curves, bars_panel(table, "end", f"mean of the last {LAST} updates", "mean return of agents")]
    if name == "mass_transfer" and "final_Starch" in table:
        panels += [
            bars_panel(table, "final_Starch", "starch at the end", "mmol/L"),
            bars_panel(table, "final_biomass", "biomass at the end, all agents", "gDW/L"),
        ]
    else:
        panels += [
            bars_panel(table, "start", "first update", "mean return of agents"),
            share_panel(table, "stuck", "seeds that end at the greedy return", "share"),
        ]
    note = (
        "lines: mean over seeds, darker: its 95 % bootstrap interval, lighter: smallest to largest episode; bars: mean "
        "over seeds with the same interval, points: seeds"
    )
    title = meaning[0].upper() + meaning[1:]
    return Drawing(tuple(panels), 2, title, note, size=(4.0, 2.7))


def bars_panel(table: "pd.DataFrame", column: str, title: str, unit: str) -> Panel:
    """Return the mean of a column over seeds for each value, with its interval and the seeds."""
    parts = [rows[column].dropna().to_numpy(dtype=float) for _, rows in table.groupby("value", sort=True)]
    names = tuple(f"{value:g}" for value in sorted(set(table["value"])))
    measured = [mean_interval(part[:, None]) if len(part) else (np.full(1, np.nan),) * 3 for part in parts]
    mean, low, high = (np.concatenate([entry[place] for entry in measured]) for place in range(3))
    colours = tuple(colour_of(place) for place in range(len(names)))
    return Panel(title, ylabel=unit, bars=Bars(names, mean, low, high, tuple(parts), colours))


def share_panel(table: "pd.DataFrame", column: str, title: str, unit: str) -> Panel:
    """Return the share of seeds of which a column is true, for each value."""
    shares = table.groupby("value", sort=True)[column].mean()
    values = shares.to_numpy(dtype=float)
    counts = table.groupby("value", sort=True)[column].agg(["sum", "count"]).to_numpy()
    names = tuple(f"{value:g}: {int(k)} of {int(n)}" for value, (k, n) in zip(shares.index, counts, strict=True))
    nothing = np.full(len(values), np.nan)
    colours = tuple(colour_of(place) for place in range(len(names)))
    return Panel(title, ylabel=unit, bars=Bars(names, values, nothing, nothing, (), colours), ends=(0.0, 1.0))
