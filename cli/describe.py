"""`bioppo describe`: every option of an environment, algorithm or tracker."""

import textwrap
from dataclasses import Field
from typing import TYPE_CHECKING, Any

from .arguments import Arguments

if TYPE_CHECKING:
    from ..configs.option import Options


def main(words: list[str]) -> int:
    """Print the options of one choice of a config group, such as ``env=kinetic``."""
    parser = Arguments(prog="bioppo describe", description="Print every option of an environment, algorithm, tracker.")
    parser.add_argument("choice", help="GROUP=NAME, such as env=kinetic; `bioppo list` names them")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    arguments = parser.parse_args(words)

    from ..configs.option import option_table

    group, name, schema = find(arguments.choice)
    if arguments.markdown:
        print(option_table(schema))
    else:
        print_options(group, name, schema)
    return 0


def find(choice: str) -> "tuple[str, str, type[Options]]":
    """Return group, name and dataclass of ``GROUP=NAME``.

    Raises
    ------
    UserError
        If there is no such group or choice, with the nearest.
    """
    from .. import UserError
    from ..configs.option import nearest
    from ..configs.registry import GROUPS, schema_of

    group, equals, name = choice.partition("=")
    if not equals:
        named = [f"{group}={choice}" for group, choices in GROUPS.items() if choice in choices]
        remedy = f"did you mean {' or '.join(named)}?" if named else "write GROUP=NAME, such as env=kinetic."
        raise UserError(f"'{choice}' names no group: {remedy}")
    if group not in GROUPS:
        raise UserError(f"There is no group '{group}' with options: {nearest(group, GROUPS)}")
    if name not in GROUPS[group]:
        raise UserError(f"{group}={name} does not exist: {nearest(name, GROUPS[group])}")
    return group, name, schema_of(group, name)


def print_options(group: str, name: str, schema: "type[Options]") -> None:
    """Print key, type, default and unit of every option on a line, and its meaning below, as wide as the terminal."""
    from rich.console import Console
    from rich.text import Text

    from ..configs.option import described_options

    console = Console(highlight=False)
    console.print(Text(f"{group}={name}", style="bold"))
    console.print(Text(wrapped(schema.__doc__ or "", console.width)))
    options = described_options(schema)
    if not options:
        console.print("It has no options.")
    for entry in options:
        console.print()
        console.print(Text(f"{group}.{entry.name}", style="bold cyan") + Text(signature(entry)))
        console.print(Text(wrapped(explanation(entry), console.width, indent=4)))


def wrapped(text: str, width: int, *, indent: int = 0) -> str:
    """Return the text in lines of at most ``width`` characters, indented."""
    return textwrap.fill(" ".join(text.split()), width, initial_indent=" " * indent, subsequent_indent=" " * indent)


def signature(entry: Field[Any]) -> str:
    """Return type, default and unit, such as ``: float = 0.5 1/h``."""
    from ..configs.option import shown_default

    unit = f" {entry.metadata['unit']}" if entry.metadata["unit"] else ""
    kind = entry.type.__name__ if type(entry.type) is type else str(entry.type).replace("typing.", "")
    return f": {kind} = {shown_default(entry) or repr('')}{unit}"


def explanation(entry: Field[Any]) -> str:
    """Return the meaning with all that is allowed."""
    from ..configs.option import allowed_values

    choices = entry.metadata["choices"]
    allowed = f" (one of {', '.join(map(str, choices))})" if choices else allowed_values(entry)
    return f"{entry.metadata['meaning']}{allowed}"
