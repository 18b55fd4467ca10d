"""Flux-balance models by name or path."""

import json
import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.sparse import csc_array

from ... import UserError
from .flux_model import FluxModel
from .model_sources.balance import unbalanced_reactions
from .model_sources.draft import ModelDraft, check_reaction, fail_unknown
from .model_sources.edits import apply_edits
from .model_sources.files import read_draft, stamp

logger = logging.getLogger(__name__)

GROWTH_WORDS = ("biomass", "growth", "bio1", "bof")
MOST_NAMED = 5
GROWTH_PARTICIPANTS = 8
"""A reaction of so many metabolites is taken for growth whatever its name: those of E. coli models have over 20."""


def load_model(name_or_path: str, *, edits: Mapping[str, Any] | None = None, allow_download: bool = False) -> FluxModel:
    """Return a model by name or path; equal calls give the same object as long as the file stays the same.

    Parameters
    ----------
    name_or_path
        A model that comes with bioppo (``toy_sa``), ``bundled:textbook``, ``bundled:iJO1366`` or
        ``bundled:salmonella`` (in cobra's package), ``bigg:<id>``, or a file: SBML, cobra's JSON, YAML or MATLAB, or
        bioppo's own YAML.
    edits
        Changes after reading: see :func:`.model_sources.edits.apply_edits`.
    allow_download
        Whether ``bigg:<id>`` may be fetched from http://bigg.ucsd.edu; files fetched before are read from the cache.

    Raises
    ------
    UserError
        With the name or file, the value and the remedy.
    """
    written = None if edits is None else json.dumps(_plain(edits))
    return _load(str(name_or_path), written, allow_download, stamp(str(name_or_path)))


@lru_cache(maxsize=32)
def _load(name: str, edits: str | None, allow_download: bool, _stamp: object) -> FluxModel:
    draft = read_draft(name, allow_download=allow_download)
    changes = {} if edits is None else json.loads(edits)
    apply_edits(draft, changes)
    model = build_model(draft, name, chosen="objective" in changes or "biomass" in changes)
    _warn_of_imbalance(model)
    return model


def _warn_of_imbalance(model: FluxModel) -> None:
    unbalanced = unbalanced_reactions(model)
    if unbalanced:
        named = [
            f"{name} ({', '.join(f'{element} {amount:+g}' for element, amount in excess.items())})"
            for name, excess in list(unbalanced.items())[:MOST_NAMED]
        ]
        logger.warning(
            "%s: reactions that do not conserve elements or charge by the file's formulas: %d, such as %s; what they "
            "make from nothing or lose is missing in the balances of a culture.",
            model.name,
            len(unbalanced),
            ", ".join(named),
        )


def build_model(draft: ModelDraft, name: str, *, chosen: bool = False) -> FluxModel:
    """Return the arrays of a draft; ``chosen`` says that the user named the growth reaction."""
    for reaction, entry in draft.reactions.items():
        check_reaction(draft.source, reaction, entry)
    objective = _growth_reaction(draft, chosen=chosen)
    reactions, metabolites = tuple(draft.reactions), draft.metabolites
    rows = {metabolite: row for row, metabolite in enumerate(metabolites)}
    columns = {reaction: column for column, reaction in enumerate(reactions)}
    entries = [
        (coefficient, rows[metabolite], columns[reaction])
        for reaction, entry in draft.reactions.items()
        for metabolite, coefficient in entry.stoichiometry.items()
        if coefficient
    ]
    values, row_numbers, column_numbers = zip(*entries, strict=True)
    stoichiometry = csc_array(
        (np.array(values, dtype=np.float64), (np.array(row_numbers), np.array(column_numbers))),
        shape=(len(metabolites), len(reactions)),
    )
    lower = np.array([entry.lower for entry in draft.reactions.values()], dtype=np.float64)
    upper = np.array([entry.upper for entry in draft.reactions.values()], dtype=np.float64)
    for array in (lower, upper):
        array.setflags(write=False)
    exchanges = {species: columns[reaction] for species, reaction in _exchange_of(draft).items()}
    return FluxModel(
        name,
        metabolites,
        reactions,
        stoichiometry,
        lower,
        upper,
        columns[objective],
        exchanges,
        draft.formulas or None,
        draft.charges or None,
    )


def _exchange_of(draft: ModelDraft) -> dict[str, str]:
    exchange_of: dict[str, str] = {}
    for reaction, species in draft.exchanges.items():
        if species in exchange_of:
            raise UserError(
                f"{draft.source} has two exchanges for {species}, {exchange_of[species]} and {reaction}: remove one in "
                "edits."
            )
        exchange_of[species] = reaction
    return exchange_of


def _growth_reaction(draft: ModelDraft, *, chosen: bool) -> str:
    found = draft.objectives
    if not found:
        raise UserError(f"{draft.source} has no objective: name its growth reaction in edits, as biomass: <id>.")
    if len(found) > 1:
        raise UserError(
            f"{draft.source} has several objectives ({', '.join(found)}): name one in edits, as biomass: <id>."
        )
    name = found[0]
    if name not in draft.reactions:
        fail_unknown(draft.source, "reaction for its objective,", name, draft.reactions)
    if not chosen and not _looks_like_growth(draft, name):
        raise UserError(
            f"{draft.source} maximises {name}, which does not look like growth: name the growth reaction in edits, as "
            "biomass: <id>."
        )
    return name


def _looks_like_growth(draft: ModelDraft, name: str) -> bool:
    """Files of bioppo's own declare their growth reaction; those of others may maximise anything, such as ATP."""
    if draft.declares_growth:
        return True
    named = any(word in name.lower() for word in GROWTH_WORDS)
    return named or len(draft.reactions[name].stoichiometry) >= GROWTH_PARTICIPANTS


def _plain(value: Any) -> Any:
    """Return nested mappings and sequences, such as those of a config, as dicts and lists."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple) or type(value).__name__ == "ListConfig":
        return [_plain(entry) for entry in value]
    return value


__all__ = ["FluxModel", "build_model", "load_model"]
