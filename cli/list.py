"""`bioppo list`: name the choices, one line each."""

from .arguments import Arguments

GROUPS = {"env": "environments", "algo": "algorithms", "tracker": "trackers"}


def main(words: list[str]) -> int:
    """Print every choice of a config group, or of all groups, with its meaning."""
    parser = Arguments(prog="bioppo list", description="Name the choices of a config group.")
    parser.add_argument("group", nargs="?", choices=list(GROUPS), help="one group; without it, all")
    group = parser.parse_args(words).group
    for name in [group] if group else GROUPS:
        if not group:
            print(f"{GROUPS[name]} ({name}=...)")
        print_group(name, indent="" if group else "  ")
    return 0


def print_group(group: str, indent: str) -> None:
    """Print the choices of one group with the first line of their config's docstring."""
    from ..configs import registry

    choices = registry.GROUPS[group]
    width = max(map(len, choices))
    for name in choices:
        meaning = (registry.schema_of(group, name).__doc__ or "").strip().splitlines()[0]
        print(f"{indent}{name:<{width}}  {meaning}")
