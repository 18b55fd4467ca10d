"""Legends below all panels of a figure."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def legend_below(figure: "Figure", **keywords: Any) -> None:
    """Put a small legend without a frame below the panels; ``keywords`` are those of Matplotlib's ``Figure.legend``."""
    keywords |= {"frameon": False, "fontsize": "small"}
    try:
        figure.legend(loc="outside lower center", **keywords)
    except ValueError:  # Matplotlib 3.6, which the package celloracle asks for, makes no room outside of panels.
        figure.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), **keywords)
