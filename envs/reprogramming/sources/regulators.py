"""Base networks: which transcription factors may regulate which gene, from the forms in which they are kept."""

import csv
import json
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .... import UserError
from ..data import StrArray

Regulators = dict[str, list[str]]

TARGET_COLUMNS = ("target", "target_gene", "gene")
LIST_COLUMNS = ("target_genes", "targets")
FORMS = (
    "a .csv with columns TF,target or TF,Target_genes, a .csv or .parquet with peak_id,gene_short_name and a column "
    "per factor, or a .json"
)

FEW_SHARED = 0.05
"""Share of names in common below which a mix-up of species or of kinds of names is likely."""


def read_regulators(
    path: str | Path,
    *,
    direction: str = "target_to_tfs",
    genes: StrArray | None = None,
    case_insensitive: bool = False,
) -> Regulators:
    """Return the regulators of every target by name, sorted.

    Forms: a table of pairs (TF, target); a table with a list of targets per factor (TF, Target_genes; separated by
    commas, semicolons or tabs); a 0/1 matrix with a row per peak and a column per factor, in which rows of one gene are
    joined; a .json of target to factors, or of factor to targets with ``direction="tf_to_targets"``.

    Parameters
    ----------
    genes
        Measured genes: names are matched to them, and what is not measured is left out. None: all names are kept.
    case_insensitive
        Match names that differ in case alone.

    Raises
    ------
    UserError
        If the file is missing, damaged or of no known form, or shares no name with the genes.
    """
    path = Path(path)
    regulators = parse_regulators(path, direction)
    return regulators if genes is None else match_regulators(regulators, genes, str(path), case_insensitive)[0]


def parse_regulators(path: Path, direction: str = "target_to_tfs") -> Regulators:
    """Return a file's regulators with the names that stand in it."""
    if not path.exists():
        raise UserError(f"data.grn={path} does not exist: give {FORMS}.")
    if path.suffix == ".json":
        return _from_json(path, direction)
    if path.suffix == ".parquet":
        return _from_parquet(path)
    if path.suffix in (".csv", ".tsv", ".txt"):
        return _from_text(path)
    raise UserError(f"data.grn={path} has no known ending: give {FORMS}.")


def read_factors(path: str | Path | None) -> list[str]:
    """Return the transcription factors of a text file with one per line, sorted; lines that begin with # are notes."""
    if path is None:
        raise UserError("data.grn=correlation needs a list of transcription factors: give data.grn_tfs=FILE.")
    path = Path(path)
    if not path.exists():
        raise UserError(f"data.grn_tfs={path} does not exist: give a text file with a transcription factor per line.")
    lines = (line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines())
    factors = sorted({line for line in lines if line and not line.startswith("#")})
    if not factors:
        raise UserError(f"data.grn_tfs={path} is empty: give a text file with a transcription factor per line.")
    return factors


def invert(pairs: Mapping[str, Iterable[str]]) -> Regulators:
    """Turn a mapping from factor to targets into one from target to factors, or the other way round."""
    inverse: dict[str, set[str]] = {}
    for key, names in pairs.items():
        for name in names:
            inverse.setdefault(name, set()).add(key)
    return _sorted(inverse)


def _sorted(sets: Mapping[str, Iterable[str]]) -> Regulators:
    return {target: sorted(set(factors)) for target, factors in sorted(sets.items())}


def _from_json(path: Path, direction: str) -> Regulators:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"data.grn={path} is no JSON ({error}): write it again.") from error
    if not isinstance(content, dict) or not all(isinstance(names, list) for names in content.values()):
        raise UserError(f"data.grn={path}: the JSON must map every name to a list of names, so write it that way.")
    mapping = {str(key): [str(name) for name in names] for key, names in content.items()}
    return invert(mapping) if direction == "tf_to_targets" else _sorted(mapping)


def _from_text(path: Path) -> Regulators:
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline()
        file.seek(0)
        # A tab can also stand inside a field of a comma-separated file, but not inside its header.
        rows = csv.reader(file, delimiter="\t" if "\t" in first else ",")
        header = [name.strip() for name in next(rows, [])]
        names = [name.lower() for name in header]
        if "gene_short_name" in names:
            return _from_matrix(path, rows.dialect.delimiter)
        if "tf" not in names or len(names) < 2:
            raise UserError(f"data.grn={path} has the columns {', '.join(header[:10]) or 'none'}: give {FORMS}.")
        factor = names.index("tf")
        lists = [place for place, name in enumerate(names) if name in LIST_COLUMNS]
        single = [place for place, name in enumerate(names) if name in TARGET_COLUMNS]
        if not lists and not single:
            raise UserError(f"data.grn={path} has the columns {', '.join(header[:10])}: give {FORMS}.")
        targets: dict[str, set[str]] = {}
        for row in rows:
            if len(row) <= factor or not row[factor].strip():
                continue
            if lists:
                # A list without quotation marks is cut into as many fields as it has names.
                fields = row[lists[0] :] if lists[0] == len(names) - 1 else [row[lists[0]]]
            else:
                fields = row[single[0] : single[0] + 1]
            found = {name for field in fields for name in re.split(r"[,;\t ]+", field.strip(" []")) if name}
            targets.setdefault(row[factor].strip(), set()).update(name.strip("'\"") for name in found)
    return invert(targets)


def _from_matrix(path: Path, separator: str) -> Regulators:
    import pandas

    try:
        table = pandas.read_csv(path, sep=separator, encoding="utf-8-sig")
    except ValueError as error:
        raise UserError(f"data.grn={path} is no table ({str(error).strip()}): write it again.") from error
    return regulators_of_table(table.loc[:, [not str(name).startswith("Unnamed:") for name in table]], str(path))


def _from_parquet(path: Path) -> Regulators:
    import pandas

    try:
        table = pandas.read_parquet(path)
    except (OSError, ValueError) as error:
        raise UserError(
            f"data.grn={path} is no parquet file ({error}): it may be damaged, so fetch it again."
        ) from error
    return regulators_of_table(table, str(path))


def regulators_of_table(table: Any, name: str) -> Regulators:
    """Return the regulators in a pandas table of pairs, or in one with a row per peak and a column per factor."""
    lower = {str(column).lower(): column for column in table.columns}
    if "gene_short_name" in lower:
        factors = [column for key, column in lower.items() if key not in ("gene_short_name", "peak_id")]
        damaged = [column for column in factors if table[column].dtype.kind not in "biuf" or table[column].isna().any()]
        if damaged:
            raise UserError(
                f"data.grn={name}: {len(damaged)} columns of factors hold something else than 0 and 1, or nothing "
                f"({', '.join(map(str, damaged[:5]))}), so write it again."
            )
        marks = table[factors].to_numpy() != 0
        targets = table[lower["gene_short_name"]].astype(str).to_numpy()
        found: dict[str, set[str]] = {}
        for row, target in enumerate(targets):
            found.setdefault(target, set()).update(str(factors[place]) for place in np.flatnonzero(marks[row]))
        return _sorted({target: members for target, members in found.items() if members})
    target = next((lower[key] for key in TARGET_COLUMNS if key in lower), None)
    if "tf" not in lower or target is None:
        raise UserError(f"data.grn={name} has the columns {', '.join(map(str, table.columns[:10]))}: give {FORMS}.")
    pairs: dict[str, set[str]] = {}
    for factor, gene in zip(table[lower["tf"]].astype(str), table[target].astype(str), strict=True):
        pairs.setdefault(gene, set()).add(factor)
    return _sorted(pairs)


def match_names(names: Iterable[str], genes: StrArray, case_insensitive: bool) -> tuple[dict[str, str], list[str]]:
    """Return the measured gene for every name that has one, and what a user should know about it.

    An exact match comes first; with ``case_insensitive`` a name matches the only gene that differs in case alone.
    """
    wanted, measured = sorted(set(names)), set(map(str, genes))
    matched = {name: name for name in wanted if name in measured}
    if not case_insensitive:
        return matched, []
    folded: dict[str, list[str]] = {}
    for gene in measured:
        folded.setdefault(gene.casefold(), []).append(gene)
    others = {name: folded.get(name.casefold(), []) for name in wanted if name not in matched}
    renamed = {name: found[0] for name, found in others.items() if len(found) == 1}
    ambiguous = [name for name, found in others.items() if len(found) > 1]
    notes = []
    if renamed:
        listed = ", ".join(f"{name} as {gene}" for name, gene in list(renamed.items())[:5])
        notes.append(f"{len(renamed)} names of the network were matched whatever their case: {listed}")
    if ambiguous:
        notes.append(
            f"{len(ambiguous)} names of the network match several genes and were left out: {', '.join(ambiguous[:5])}"
        )
    return matched | renamed, notes


def match_regulators(
    regulators: Mapping[str, Iterable[str]], genes: StrArray, name: str, case_insensitive: bool = False
) -> tuple[Regulators, list[str]]:
    """Return measured regulators of measured targets, no gene among its own, and notes on the matching.

    Raises
    ------
    UserError
        If no factor or no target is measured. Where fewer than 5 % of the shorter list of names are shared, it warns.
    """
    factors = {factor for members in regulators.values() for factor in members}
    names = factors | set(regulators)
    matched, notes = match_names(names, genes, case_insensitive)
    shared = len(set(matched.values()))
    samples = (
        f"it has names such as {', '.join(sorted(names)[:5])} and the cells such as "
        f"{', '.join(sorted(map(str, genes))[:5])}"
    )
    if not any(factor in matched for factor in factors) or not any(target in matched for target in regulators):
        raise UserError(
            f"data.grn={name}: none of its {len(factors)} factors or none of its {len(regulators)} targets is "
            f"measured; {samples}, so give the network of this species, or set data.case_insensitive=true."
        )
    if shared < FEW_SHARED * min(len(names), len(genes)):
        warnings.warn(
            f"data.grn={name}: only {shared} of its {len(names)} names are among the {len(genes)} genes; {samples}: "
            "are species and case the same?",
            stacklevel=2,
        )
    found: dict[str, set[str]] = {}
    for target, members in regulators.items():
        if target in matched:
            own = matched[target]
            mine = {matched[factor] for factor in members if factor in matched} - {own}
            if mine:
                found.setdefault(own, set()).update(mine)
    notes.append(f"network: {shared} of {len(names)} names measured, {sum(map(len, found.values()))} candidate edges")
    return _sorted(found), notes
