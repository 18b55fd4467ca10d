"""Many sets of Michaelis constants in one file: CSV, NPZ or HDF5, with names and where they come from."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .errors import KineticInputError
from .network import FloatArray

SUFFIXES = (".csv", ".npz", ".h5", ".hdf5")
LAMBDA_MAX = "lambda_max"


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """Sets of Michaelis constants; checked when it is made.

    Parameters
    ----------
    names
        Of the constants, ``(P,)``.
    ln_km
        ln(mol/L), ``(n, P)``.
    lambda_max
        Largest real parts of the eigenvalues, 1/h, ``(n,)``; NaN where they are not known, ``inf`` where none exist.
    metadata
        JSON values that tell where the sets come from: model, state, seed and the like.
    source
        Begins every error message.
    """

    names: tuple[str, ...]
    ln_km: FloatArray
    lambda_max: FloatArray
    metadata: Mapping[str, Any] = field(default_factory=dict)
    source: str = "population"

    def __post_init__(self) -> None:
        if self.ln_km.ndim != 2 or self.ln_km.shape[1] != len(self.names):
            raise KineticInputError(
                f"{self.source}: ln_km has the shape {self.ln_km.shape} for {len(self.names)} names; give one column "
                "for each name."
            )
        if self.lambda_max.shape != (len(self.ln_km),):
            raise KineticInputError(
                f"{self.source}: lambda_max has the shape {self.lambda_max.shape} for {len(self.ln_km)} sets; give one "
                "value for each set."
            )
        seen: set[str] = set()
        for name in self.names:
            if name in seen:
                raise KineticInputError(f"{self.source}: {name} is given twice; give every constant once.")
            seen.add(name)
        bad = np.argwhere(~np.isfinite(self.ln_km))
        if len(bad):
            row, column = bad[0]
            raise KineticInputError(
                f"{self.source}: set {row} has no positive finite value of {self.names[column]}; give all constants in "
                "mol/L (CSV) or as ln(mol/L) (NPZ, HDF5)."
            )

    def arranged(self, names: Sequence[str]) -> FloatArray:
        """Return ln K with the columns in the order of a model's names, ``(n, len(names))``; others are left out."""
        column = {name: index for index, name in enumerate(self.names)}
        missing = [name for name in names if name not in column]
        if missing:
            shown = ", ".join(missing[:10]) + (" and others" if len(missing) > 10 else "")
            raise KineticInputError(
                f"{self.source}: the model has {len(names)} Michaelis constants and the file {len(self.names)}, "
                f"without {shown}; give a set with all names of the model."
            )
        ordered: FloatArray = self.ln_km[:, [column[name] for name in names]]
        return ordered


def write_population(
    path: str | Path,
    *,
    names: Sequence[str],
    ln_km: FloatArray,
    lambda_max: FloatArray,
    metadata: Mapping[str, Any],
) -> None:
    """Write sets in the format of the suffix; an existing file is replaced.

    ``.csv`` has Michaelis constants in mol/L under their names after ``lambda_max`` in 1/h, and the metadata in a first
    line after ``#`` (``pandas.read_csv(path, comment="#")``). ``.npz``, and ``.h5`` or ``.hdf5``, have ``names``,
    ``ln_km`` in ln(mol/L), ``lambda_max`` and ``metadata`` as JSON text (in HDF5 an attribute).

    Parameters
    ----------
    path
        Where to write.
    names, ln_km, lambda_max, metadata
        As in :class:`Population`.

    Raises
    ------
    KineticInputError
        The suffix is none of these, the folder does not exist, or the arrays do not fit each other.
    """
    path = Path(path)
    population = Population(tuple(names), np.asarray(ln_km), np.asarray(lambda_max), metadata, str(path))
    text = json.dumps(dict(metadata))
    suffix = _suffix(path)
    check_folder(path)
    match suffix:
        case ".csv":
            _write_csv(path, population, text)
        case ".npz":
            with path.open("wb") as file:
                np.savez_compressed(
                    file,
                    names=np.array(population.names, dtype=np.str_),
                    ln_km=population.ln_km,
                    lambda_max=population.lambda_max,
                    metadata=np.array(text),
                )
        case _:
            import h5py

            with h5py.File(path, "w") as file:
                file.create_dataset("names", data=list(population.names), dtype=h5py.string_dtype())
                file.create_dataset("ln_km", data=population.ln_km)
                file.create_dataset("lambda_max", data=population.lambda_max)
                file.attrs["metadata"] = text


def read_population(path: str | Path) -> Population:
    """Read what :func:`write_population` writes; a CSV may lack the metadata and ``lambda_max``.

    Raises
    ------
    KineticInputError
        The file cannot be read, or a value is missing or not positive.
    """
    path = Path(path)
    suffix = _suffix(path)
    try:
        if suffix == ".csv":
            return _read_csv(path)
        arrays = _read_npz(path) if suffix == ".npz" else _read_hdf5(path)
        return Population(
            tuple(str(name) for name in arrays["names"]),
            np.asarray(arrays["ln_km"], dtype=np.float64),
            np.asarray(arrays["lambda_max"], dtype=np.float64),
            json.loads(str(arrays["metadata"])),
            str(path),
        )
    except FileNotFoundError:
        raise KineticInputError(f"{path}: No such file; give the path of a population.") from None
    except KineticInputError:
        raise
    except Exception as error:
        # The libraries raise whatever a broken file leads them to: OSError, BadZipFile, KeyError, ValueError.
        raise KineticInputError(
            f"{path}: is no population in {suffix} ({error}); pickled arrays are refused, give names, ln_km, "
            "lambda_max and metadata, or a CSV with a header."
        ) from None


def stored_constants(ln_km: FloatArray, unit: float = 1.0) -> FloatArray:
    """Return K in a unit (mol/L) such that ``log(K * unit)`` gives ln K back, below -2 bit for bit.

    The eigenvalues of published models change by 1e-9 with the last bit of a logarithm.
    """
    constants = np.exp(ln_km) / unit
    for _ in range(8):
        excess = np.log(constants * unit) - ln_km
        constants = np.where(excess == 0, constants, np.nextafter(constants, np.where(excess > 0, 0.0, np.inf)))
    return constants


def check_folder(path: Path) -> None:
    """Raise :class:`KineticInputError` where a file cannot be written for want of its folder."""
    if not path.parent.is_dir():
        raise KineticInputError(f"{path}: the folder {path.parent} does not exist; make it first.")


def _suffix(path: Path) -> str:
    if path.suffix not in SUFFIXES:
        raise KineticInputError(
            f"{path}: a population has one of the suffixes {', '.join(SUFFIXES)}; choose one of them."
        )
    return path.suffix


def _write_csv(path: Path, population: Population, metadata: str) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# {metadata}\n")
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow([LAMBDA_MAX, *population.names])
        rows.writerows(np.column_stack([population.lambda_max, stored_constants(population.ln_km)]).tolist())


def _read_csv(path: Path) -> Population:
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = file.read().splitlines()
    metadata = json.loads(lines[0][1:]) if lines[:1] and lines[0].startswith("#") else {}
    header, *rows = list(csv.reader(line for line in lines if line and not line.startswith("#")))
    for number, row in enumerate(rows):
        if len(row) != len(header):
            raise KineticInputError(
                f"{path}: set {number} has {len(row)} values for {len(header)} columns; give one each."
            )
    values = np.array([[float(cell or "nan") for cell in row] for row in rows]).reshape(len(rows), len(header))
    is_known = np.array([name != LAMBDA_MAX for name in header])
    lambda_max = np.full(len(rows), np.nan) if is_known.all() else values[:, ~is_known][:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        ln_km = np.log(values[:, is_known])
    return Population(tuple(name for name in header if name != LAMBDA_MAX), ln_km, lambda_max, metadata, str(path))


def _read_npz(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in ("names", "ln_km", "lambda_max", "metadata")}


def _read_hdf5(path: Path) -> dict[str, Any]:
    import h5py

    with h5py.File(path, "r") as file:
        arrays = {name: file[name][()] for name in ("ln_km", "lambda_max")}
        return arrays | {"names": file["names"].asstr()[()], "metadata": file.attrs["metadata"]}
