"""Numbers that describe a perturbation to an agent or a model."""

import csv
from pathlib import Path

import numpy as np

from ... import UserError
from ...configs.option import nearest
from .data import FloatArray, PreparedData
from .genes import label_members

N_LOADINGS = 10
MEASURED_SHARE = 0.8
"""Share of perturbations with a measured target from which their loadings describe them well enough."""

KINDS = ("auto", "pca_loading", "onehot", "file")


def perturbation_features(prepared: PreparedData, kind: str = "auto", path: str | Path | None = None) -> FloatArray:
    """Return a row of features per perturbation (K, E) float32, fitted on training cells alone.

    Parameters
    ----------
    prepared
        What the perturbations belong to; what was chosen and why is written to ``provenance["features"]``.
    kind
        ``pca_loading``: how much the target gene takes part in the first ten principal components of training
        controls; members of a combination add, and a perturbation without measured target has zeros. ``onehot``: one
        column per seen perturbation, so that held-out ones are all zero. ``file``: rows of ``path``. ``auto``:
        pca_loading where at least 80 % of the perturbations have a measured target, else onehot.
    path
        For ``file``: TSV with a header, a label and then numbers in each line, or npz with ``labels`` and
        ``features`` (n_labels, E). A combination that has no row is the sum of its members' rows.

    Raises
    ------
    UserError
        If the kind is unknown, no target is measured, or the file lacks a perturbation.
    """
    if kind not in KINDS:
        raise UserError(f"embedding={kind}: {nearest(kind, KINDS)}")
    chosen, notes = choose_kind(prepared, kind)
    if chosen == "pca_loading":
        features = pca_loadings(prepared)
    elif chosen == "onehot":
        features = np.eye(len(prepared.perturbations))[:, prepared.seen] * prepared.seen[:, None]
    else:
        features = features_of_file(prepared, path)
    prepared.provenance["features"] = {"kind": chosen, "size": features.shape[1], "notes": notes}
    return features.astype(np.float32)


def choose_kind(prepared: PreparedData, kind: str) -> tuple[str, list[str]]:
    """Return the kind of features that the data allow, and what a user should know about it."""
    measured = sum(len(positions) > 0 for positions in prepared.targets)
    count, notes = len(prepared.perturbations), []
    without = count - measured
    if kind == "pca_loading" and not measured:
        raise UserError("embedding=pca_loading: no target gene is measured, so choose onehot or file.")
    if kind == "auto":
        kind = "pca_loading" if measured >= MEASURED_SHARE * count else "onehot"
        if kind == "onehot":
            notes.append(
                f"{measured} of {count} perturbations have a measured target gene: onehot instead of pca_loading"
            )
    if kind == "pca_loading" and without:
        notes.append(f"{without} of {count} perturbations have no measured target gene: their features are zero")
    if kind == "onehot" and not prepared.seen.all():
        notes.append("split B carries no information about held-out perturbations")
    return kind, notes


def pca_loadings(prepared: PreparedData) -> FloatArray:
    """Return loadings V S of the target genes on principal components of training controls, over all genes' spread."""
    controls = prepared.expression[prepared.cells(None)].astype(np.float64)
    _, sizes, components = np.linalg.svd(controls - controls.mean(axis=0), full_matrices=False)
    loadings = components[:N_LOADINGS].T * sizes[:N_LOADINGS]
    spread = loadings.std()
    loadings = loadings / spread if spread > 0 else loadings
    return np.array([loadings[positions].sum(axis=0) for positions in prepared.targets])


def features_of_file(prepared: PreparedData, path: str | Path | None) -> FloatArray:
    """Return the rows that a file has for the perturbations."""
    if path is None:
        raise UserError("embedding_file=null: embedding=file needs one, so give a TSV or npz file.")
    rows = read_rows(Path(path))
    notes = prepared.provenance.get("preprocessing", {})
    separator, control = notes.get("combo_separator"), notes.get("control_label")
    features, lacking = [], []
    for label in prepared.perturbations:
        members = (label,) if label in rows else label_members(label, separator, control)
        if all(member in rows for member in members):
            features.append(sum(rows[member] for member in members))
        else:
            lacking.append(label)
    if lacking:
        raise UserError(f"embedding_file={path} has no row for {', '.join(lacking[:10])}: add {len(lacking)} rows.")
    return np.array(features, dtype=np.float64)


def read_rows(path: Path) -> dict[str, FloatArray]:
    """Return the numbers of each label in a TSV or npz file."""
    if not path.exists():
        raise UserError(f"embedding_file={path} does not exist: give a TSV or npz file.")
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                labels, numbers = archive["labels"].tolist(), archive["features"].astype(np.float64)
        else:
            with path.open(newline="", encoding="utf-8") as file:
                lines = [line for line in csv.reader(file, delimiter="\t") if line][1:]
            labels = [line[0] for line in lines]
            numbers = np.array([[float(number) for number in line[1:]] for line in lines])
    except (KeyError, ValueError, OSError) as error:
        raise UserError(
            f"embedding_file={path} cannot be read ({error}): write a TSV with a header and lines of a label and "
            "equally many numbers, or an npz with labels and features."
        ) from error
    if numbers.ndim != 2 or len(numbers) != len(labels) or not numbers.size or not np.isfinite(numbers).all():
        raise UserError(f"embedding_file={path} needs finite numbers, equally many for each of its labels: mend it.")
    return dict(zip(labels, numbers, strict=True))
