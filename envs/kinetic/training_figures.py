"""Training episode by episode, over seeds: rewards of every variant, and the eigenvalues of selected episodes.

The poster that this environment redoes shows both (its Figures 3 and 4).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .network import FloatArray

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REWARDS = (("reward_max", "#D55E00", "largest of an episode"), ("reward_mean", "#0072B2", "mean of an episode"))
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Which updates are shown, as shares of training: the first, the quartiles, the last."""
LINEAR_BELOW = 10.0
"""1/h; the axis of eigenvalues is linear up to here and logarithmic beyond."""
COLUMNS = 3


def draw_rewards(variants: Mapping[str, Sequence["pd.DataFrame"]], episodes_per_update: int) -> "Figure":
    """Draw the mean and the largest reward of training episodes, a panel per variant, with the band over seeds.

    Parameters
    ----------
    variants
        The rows of every seed's ``progress.csv``, by label.
    episodes_per_update
        How many episodes each row averages.
    """
    from matplotlib.figure import Figure

    rows = -(-len(variants) // COLUMNS)
    figure = Figure(figsize=(11, 1.0 + 2.1 * rows), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False).ravel()
    for panel, (label, seeds) in zip(panels, variants.items(), strict=False):
        for column, colour, meaning in REWARDS:
            _draw_band(panel, [seed[f"environment/{column}"].dropna().to_numpy() for seed in seeds], colour, meaning)
        panel.set_title(label, loc="left", fontsize="small")
        panel.margins(x=0)
    for panel in panels[len(variants) :]:
        panel.set_visible(False)
    unit = "episode" if episodes_per_update == 1 else f"update of {episodes_per_update} episodes"
    figure.supxlabel(unit, fontsize="medium")
    figure.supylabel("reward per step", fontsize="medium")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize="small")
    return figure


def draw_ridgelines(seeds: Sequence["pd.DataFrame"], threshold: float, title: str) -> "Figure":
    """Draw the distribution of lambda_max over all steps of selected updates, all seeds together.

    The rows of ``progress.csv`` hold quantiles; between them the distribution is taken to be uniform.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.8), layout="constrained")
    axes = figure.subplots()
    grid = np.linspace(*_drawn_range(seeds), 400)
    for level, share in enumerate(SHARES):
        values = np.concatenate([_values_at(seed, share) for seed in seeds])
        density = _density(_scaled(values), grid)
        base = len(SHARES) - 1 - level
        axes.fill_between(grid, base, base + 0.9 * density / density.max(), color="#0072B2", alpha=0.45, linewidth=0.8)
        stable, valid = (values < 0).mean(), (values <= threshold).mean()
        axes.text(1.01, base + 0.15, f"{stable:.0%} stable\n{valid:.1%} valid", transform=axes.get_yaxis_transform())
    axes.set_yticks(range(len(SHARES)), [_name(share) for share in SHARES[::-1]])
    _draw_thresholds(axes, threshold)
    axes.set_xlabel("largest eigenvalue of every step's set, 1/h")
    axes.set_title(title, loc="left")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, frameon=False, fontsize="small")
    return figure


def _draw_band(axes: "Axes", seeds: Sequence[FloatArray], colour: str, meaning: str) -> None:
    length = min(map(len, seeds))
    values = np.array([seed[:length] for seed in seeds])
    episode = np.arange(1, length + 1)
    if len(seeds) > 1:
        low, high = values.min(axis=0), values.max(axis=0)
        axes.fill_between(episode, low, high, color=colour, alpha=0.2, linewidth=0, label=f"{meaning}: all seeds")
    axes.plot(episode, values.mean(axis=0), color=colour, linewidth=1.2, label=f"{meaning}: mean over seeds")


def _values_at(progress: "pd.DataFrame", share: float) -> FloatArray:
    """Return a sample of lambda_max after a share of training, from the quantiles of that update."""
    columns = {
        int(name.rpartition("_q")[2]) / 100: name for name in progress if name.startswith("environment/lambda_max_q")
    }
    rows = progress.dropna(subset=list(columns.values()))
    row = rows.iloc[round(share * (len(rows) - 1))]
    levels = sorted(columns)
    values: FloatArray = np.interp(np.linspace(0, 1, 201), levels, [float(row[columns[level]]) for level in levels])
    return values


def _drawn_range(seeds: Sequence["pd.DataFrame"]) -> tuple[float, float]:
    values = _scaled(np.concatenate([_values_at(seed, share) for seed in seeds for share in SHARES]))
    low, high = np.quantile(values, [0.005, 0.995])
    return float(low - 0.3), float(high + 0.3)


def _scaled(values: FloatArray) -> FloatArray:
    """Return values on an axis that is linear near 0 and logarithmic far away."""
    return np.arcsinh(values / LINEAR_BELOW)


def _density(values: FloatArray, grid: FloatArray) -> FloatArray:
    """Return a Gaussian kernel estimate with Silverman's bandwidth."""
    spread = min(values.std(), float(np.subtract(*np.quantile(values, [0.75, 0.25]))) / 1.34)
    width = max(0.9 * spread * len(values) ** -0.2, 0.01)
    density: FloatArray = np.exp(-0.5 * ((grid[:, None] - values) / width) ** 2).sum(axis=1)
    return density


def _draw_thresholds(axes: "Axes", threshold: float) -> None:
    axes.axvline(0.0, color="0.35", linewidth=0.9, linestyle=":", label="stable below 0")
    axes.axvline(
        float(_scaled(np.array(threshold))),
        color="black",
        linewidth=0.9,
        linestyle="--",
        label=f"valid below {threshold:g}",
    )
    ticks = [tick for size in (10, 100, 1000, 1e4) for tick in (-size, size)] + [0]
    low, high = axes.get_xlim()
    shown = [tick for tick in ticks if low <= float(_scaled(np.array(tick))) <= high]
    axes.set_xticks([float(_scaled(np.array(tick))) for tick in shown], [f"{tick:,.0f}" for tick in shown])


def _name(share: float) -> str:
    return {0.0: "first", 1.0: "last"}.get(share, f"{share:.0%} of training")
