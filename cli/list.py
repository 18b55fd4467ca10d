"""`bioppo list`: name the choices, one line each."""

from itertools import groupby

from .arguments import Arguments

GROUPS = {
    "env": "environments",
    "algo": "algorithms",
    "tracker": "trackers",
    "study": "studies",
    "experiment": "experiments",
    "search": "searches",
    "debug": "presets for trying things out",
}

KINDS = {
    "learned": "learned: a policy from experience",
    "search": "search: an answer without acting",
    "rule": "rule: nothing is adapted",
}


def main(words: list[str]) -> int:
    """Print every choice of a config group, or of all groups, with its meaning."""
    parser = Arguments(prog="bioppo list", description="Name the choices of a config group.")
    parser.add_argument("group", nargs="?", choices=list(GROUPS), help="one group; without it, all")
    group = parser.parse_args(words).group
    for name in [group] if group else GROUPS:
        print_group(name, heading=not group)
    return 0


def print_group(group: str, *, heading: bool) -> None:
    """Print the choices of one group with the first line of what they mean; algorithms by kind."""
    meanings = choices_of(group)
    if not meanings:
        if not heading:
            print(f"There is no {group} in the package.")
        return
    if heading:
        print(f"{GROUPS[group]} ({group}=...)")
    width = max(map(len, meanings))
    for kind, names in by_kind(group, list(meanings)):
        indent = "  " * (heading + bool(kind))
        if kind:
            print(f"{indent[2:]}{KINDS[kind]}")
        for name in names:
            print(f"{indent}{name:<{width}}  {meanings[name]}")


def choices_of(group: str) -> dict[str, str]:
    """Return what each choice means: a dataclass's first line, or the first comment of a YAML file."""
    from ..configs import registry

    meanings = {
        name: (registry.schema_of(group, name).__doc__ or "").strip().splitlines()[0]
        for name in registry.GROUPS.get(group, {})
    }
    return meanings | registry.yaml_choices(group)


def by_kind(group: str, names: list[str]) -> list[tuple[str, list[str]]]:
    """Return names under their kinds, in the order of `KINDS`; only algorithms have kinds."""
    from ..configs import registry

    if group != "algo":
        return [("", names)]
    dataclasses = registry.GROUPS[group]
    kinds = {name: registry.schema_of(group, name).kind if name in dataclasses else "learned" for name in names}
    order = list(KINDS)
    ordered = sorted(names, key=lambda name: order.index(kinds[name]))
    return [(kind, list(members)) for kind, members in groupby(ordered, key=kinds.__getitem__)]
