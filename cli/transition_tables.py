"""The verbs of `bioppo data` about transition tables; the work is done in the environment's own room."""

import dataclasses
import warnings
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from .. import UserError

if TYPE_CHECKING:
    from ..envs.reprogramming.config import ReprogrammingConfig
    from ..envs.reprogramming.data import Table

ENVIRONMENT = "reprogramming"
NETWORKS = (".csv", ".tsv", ".txt", ".parquet", ".json")


def build(words: Namespace) -> None:
    """Find or build the table, and print what it is like."""
    from ..envs.reprogramming.table import load_table
    from ..envs.reprogramming.tables.cache import table_folder

    config, device = compose(words)
    with warnings_as_lines():
        table = load_table(config, device=device)
        print_table(table, config)
    key = table.meta.get("key")
    folder = table_folder(key) if config.table.cache and key is not None else None
    if folder is not None and folder.is_dir():
        print(f"Kept in {folder}")


def check(words: Namespace) -> None:
    """Print what the table is like; with ``--against``, also how it differs from another table or network."""
    from ..envs.reprogramming.table import load_table
    from ..envs.reprogramming.tables.checks import compare_networks, compare_tables

    config, device = compose(words)
    other: Path | None = words.against
    with warnings_as_lines():
        if other is not None and other.suffix in NETWORKS:
            print_lines(compare_networks(regulators_of(config), read_network(other, config)))
            return
        table = load_table(config, device=device)
        print_table(table, config)
        if other is not None:
            data = dataclasses.replace(config.data, kind="table", table=str(other))
            options = dataclasses.replace(config.table, gain=None)
            print(f"Against {other}:")
            print_lines(compare_tables(table, load_table(dataclasses.replace(config, data=data, table=options))))


def delta(words: Namespace) -> None:
    """Print the genes of a cell that a perturbation changes most, or write them all."""
    from ..envs.reprogramming.delta import change_cell, largest_changes, read_condition, write_change
    from ..envs.reprogramming.simulation import load_simulation

    config, _ = compose(words)
    condition = read_condition(words.gene, words.value)
    with warnings_as_lines():
        change = change_cell(load_simulation(config), words.cell, condition, config)
    print_lines(largest_changes(change))
    if words.output is not None:
        write_change(change, words.output)
        print(f"Written: {words.output}")


def convert(words: Namespace) -> None:
    """Write the table as .npz, with its features beside it."""
    from ..envs.reprogramming.table import load_table, save
    from ..envs.reprogramming.tables.file import features_path

    if words.output.suffix != ".npz":
        raise UserError(f"--output {words.output}: give a file that ends in .npz.")
    config, device = compose(words)
    with warnings_as_lines():
        table = load_table(config, device=device)
    save(table, words.output)
    print(f"Written: {words.output} and {features_path(words.output)}")


def compose(words: Namespace) -> "tuple[ReprogrammingConfig, str]":
    """Return the environment's options as `bioppo train` composes them, and the device to build on.

    Raises
    ------
    UserError
        If the words choose another environment, or an override is not allowed.
    """
    from ..envs.reprogramming.config import ReprogrammingConfig
    from ..tuning.composition import Composition
    from .overrides import split_words

    overrides, _ = split_words(words.overrides)
    if doubled := [word for word in overrides if word.startswith("env=")]:
        raise UserError(f"{doubled[0]}: the environment is named already, as {words.env}, so leave this out.")
    chosen = (f"env={words.env}", *(() if named(overrides, "algo") else ("algo=random",)))
    run = Composition((*chosen, *overrides), words.config_dir).run({})
    if not isinstance(run.env, ReprogrammingConfig):
        raise UserError(f"{words.env} has no transition table: name {ENVIRONMENT}, or a choice made of it.")
    return run.env, device_of(run.device)


def named(overrides: list[str], group: str) -> bool:
    """Say whether a choice of a group is among overrides."""
    return any(word.startswith(f"{group}=") for word in overrides)


def device_of(device: str) -> str:
    """Return where tables are built; ``auto`` is a graphics card where torch finds one."""
    if device != "auto":
        return device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def print_table(table: "Table", config: "ReprogrammingConfig") -> None:
    """Print what a table is like."""
    from ..envs.reprogramming.tables.checks import describe_table, table_lines

    facts = describe_table(
        table,
        trim_percentile=config.task.trim_percentile,
        success_percentile=config.task.success_percentile,
    )
    print(f"{table.meta.get('source', 'table')}, gain {table.meta.get('gain', 'unknown')}")
    print_lines(table_lines(facts))


def print_lines(lines: list[str]) -> None:
    """Print lines below a heading."""
    for line in lines:
        print(f"  {line}")


def regulators_of(config: "ReprogrammingConfig") -> Any:
    """Return the regulators of ``data.grn``, or of the cells where these bring their own."""
    from ..envs.reprogramming.sources.loading import load_cells

    if config.data.grn is not None and config.data.grn != "correlation":
        return read_network(Path(config.data.grn), config)
    return load_cells(config).regulators


def read_network(path: Path, config: "ReprogrammingConfig") -> Any:
    """Return the regulators of every target in a file."""
    from ..envs.reprogramming.sources.regulators import parse_regulators

    return parse_regulators(path, config.data.grn_direction)


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Print warnings of the cells and tables as plain lines."""
    shown = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, UserWarning):
            print(f"Note: {message}", flush=True)
        else:
            shown(message, category, filename, lineno, file, line)

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield
