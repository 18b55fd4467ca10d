"""Answer for one cell: which perturbations bring it to a type, according to an agent."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ... import UserError
from ..evaluation import gather
from .evaluation import measure
from .planner import UNREACHABLE

if TYPE_CHECKING:
    import pandas as pd

    from .episodes.cells import CellEpisodes

KEYS = ("start", "target")


def consult(environment: "CellEpisodes", agent: Any, question: Mapping[str, str]) -> tuple[str, "pd.DataFrame"]:
    """Let an agent bring one cell to one type; return what it does in words, and a row per step.

    Parameters
    ----------
    environment
        Whose task it is; a copy of it for the test split is played in.
    question
        ``start``, the name or position of a cell, and ``target``, the name of a type.

    Returns
    -------
    The text, and a table with ``step``, ``action``, ``cell``, ``type``, ``similarity`` to the target and ``distance``,
    the fewest steps from there.

    Raises
    ------
    UserError
        If a key is missing or unknown, or names no cell or type.
    """
    if sorted(question) != sorted(KEYS):
        raise UserError(
            f"{' '.join(f'{key}={value}' for key, value in question.items())}: give start=CELL target=TYPE."
        )
    test = environment.sibling(1, 0, "test")
    test.begin([question["start"]], [question["target"]])
    task = test.task
    evaluation = measure(task, gather(agent, test, episodes=1, seed=0), test.horizon)
    path, episode = evaluation.tables["paths"], evaluation.episodes.iloc[0]
    names = task.table.cells if len(task.table.cells) else [str(cell) for cell in range(task.n_cells)]
    table = path[["step", "action_name", "next", "next_type", "similarity", "next_distance"]].copy()
    table.columns = ["step", "action", "cell", "type", "similarity", "distance"]
    table["cell"] = [str(names[cell]) for cell in table["cell"]]
    shortest = int(task.distance[int(episode["start"]), task.find_type(question["target"])])
    reached = bool(episode["success"])
    lines = [
        f"{names[int(episode['start'])]} ({episode['start_type']}) to {episode['target_type']}: "
        + (f"reached in {len(table)} steps" if reached else f"not reached in {len(table)} steps")
        + ("; there is no way at all" if shortest == UNREACHABLE else f"; the shortest way has {shortest}")
    ]
    width = max(map(len, table["action"]))
    lines += [
        f"  {row.step:>2}  {row.action:<{width}}  -> {row.cell} ({row.type}), similarity {row.similarity:.3f}"
        for row in table.itertuples()
    ]
    return "\n".join(lines), table
