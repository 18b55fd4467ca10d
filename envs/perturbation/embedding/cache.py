"""Embedding models that were trained before, kept as files of weights; a broken file is as good as none."""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray

from ....datasets.cache import TRAINED_MODELS, cache_directory
from ..data import FloatArray, PreparedData
from .model import EmbeddingModel
from .options import EmbeddingOptions
from .training import EmbeddingTrainer, Pairs, make_trainer, weights_of


def trained_model(
    prepared: PreparedData, features: FloatArray, options: EmbeddingOptions, *, given: Pairs | None = None
) -> EmbeddingModel:
    """Return the trained model of prepared data: the one kept from an earlier call, or a new one, which is then kept.

    Equal data, split, features, graph, options and code find the same file and hence the same weights. Without a cache
    directory, or where it cannot be written, the model is trained every time.

    Parameters
    ----------
    prepared
        Log-normalised cells; test cells are not read.
    features
        e_p (K, E) of all perturbations, held out or not.
    options
        Of graph, network and training, and the seed.
    given
        Pairs to learn from in place of those with the mean effects, such as those of optimal transport.
    """
    trainer = make_trainer(prepared, features, options, seed=options.seed, given=given)
    path = model_path(key_of(trainer, prepared, features, options))
    if path is None or not read_weights(path, trainer.model):
        trainer.run()
        if path is not None:
            write_weights(path, trainer.model)
    return trainer.model.eval()


def key_of(trainer: EmbeddingTrainer, prepared: PreparedData, features: FloatArray, options: EmbeddingOptions) -> str:
    """Return a SHA-256 of everything that decides the weights: all that was read, the options and the code."""
    facts = {
        "data": prepared.provenance.get("fingerprint"),
        "held_out": prepared.split.held_out,
        "held_out_cell_type": prepared.split.held_out_cell_type,
        "options": asdict(options),
        "code": code_version(),
        "torch": torch.__version__,
    }
    model = trainer.model
    arrays = [prepared.split.test, np.asarray(features), model.graph.neighbours, model.graph.present]
    read = (model.target_flags, model.mean, model.deviation, *trainer.training, *trainer.validation)
    return digest(json.dumps(facts, sort_keys=True, default=str), [*arrays, *(tensor.numpy() for tensor in read)])


def code_version() -> str:
    """Return a SHA-256 of this package's modules, whose changes make older models useless."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def digest(text: str, arrays: Iterable[NDArray[np.generic]]) -> str:
    """Return the SHA-256 of a text and of arrays, with their types and shapes."""
    total = hashlib.sha256(text.encode())
    for array in arrays:
        total.update(f"{array.dtype} {array.shape}".encode())
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def model_path(key: str) -> Path | None:
    """Return where the model of a key is, or would be; None without a cache directory."""
    directory = cache_directory()
    return None if directory is None else directory / TRAINED_MODELS / f"{key[:32]}.npz"


def read_weights(path: Path, model: EmbeddingModel) -> bool:
    """Put the weights of a file into a model and return True, or leave it as it is where the file is not of use."""
    expected = model.state_dict()
    try:
        # numpy leaves a file open that it was to open itself and that turns out to be none of its own.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            weights = {name: torch.as_tensor(arrays[name]) for name in arrays.files}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, TypeError):
        return False
    fitting = weights.keys() == expected.keys() and all(
        weights[name].shape == value.shape and weights[name].dtype == value.dtype and weights[name].isfinite().all()
        for name, value in expected.items()
    )
    if fitting:
        model.load_state_dict(weights)
    return fitting


def write_weights(path: Path, model: EmbeddingModel) -> None:
    """Write beside the file and rename; a directory that cannot be written costs the next run time, no more."""
    arrays = {name: value.numpy() for name, value in weights_of(model).items()}
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".part")
        try:
            with os.fdopen(descriptor, "wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
            os.replace(temporary, path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
