"""Files of flux-balance models: bioppo's own YAML, what cobra reads, and BiGG's."""

import bz2
import gzip
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .... import UserError
from ....configs.option import nearest
from .bigg import fetch_bigg_model
from .draft import ModelDraft, ReactionDraft

OWN_MODELS = Path(__file__).parents[1] / "models"
BUNDLED = {"textbook": "textbook.xml.gz", "iJO1366": "iJO1366.xml.gz", "salmonella": "salmonella.xml.gz"}
"""What is in cobra's package; ``textbook`` is e_coli_core."""
COMPRESSION = ("", ".gz", ".bz2")
SBML = tuple(f"{kind}{ending}" for kind in (".xml", ".sbml") for ending in COMPRESSION)
FORMATS = (*SBML, ".json", ".yml", ".yaml", ".mat")
PICKLES = (".pickle", ".pkl", ".pickle.gz", ".pkl.gz")


def own_models() -> tuple[str, ...]:
    """Return the names of the models that come with bioppo."""
    return tuple(sorted(path.stem for path in OWN_MODELS.glob("*.yaml")))


def stamp(name: str) -> tuple[int, int] | None:
    """Return what changes when the file behind a path does; None where the name is no path."""
    try:
        status = os.stat(name)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def read_draft(name: str, *, allow_download: bool) -> ModelDraft:
    """Return the draft of a model by name or path; see :func:`.model.load_model`."""
    kind, _, identifier = name.partition(":")
    if kind == "bundled":
        if identifier not in BUNDLED:
            raise UserError(f"model={name}: {nearest(identifier, BUNDLED)}")
        return read_cobra(bundled_path(identifier), name)
    if kind == "bigg":
        return read_cobra(fetch_bigg_model(identifier, allow_download=allow_download), name)
    if name in own_models():
        return read_own(OWN_MODELS / f"{name}.yaml", name)
    path = Path(name)
    lowered = path.name.lower()
    if lowered.endswith(PICKLES):
        raise UserError(f"{path}: a pickle can run any code when it is read; save the model as SBML or JSON.")
    if not lowered.endswith(FORMATS):
        names = (*own_models(), *(f"bundled:{each}" for each in BUNDLED))
        raise UserError(
            f"model={name} is no known name nor a file of a model ({', '.join(FORMATS)}): " + nearest(name, names)
        )
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; give the path of a model ({', '.join(FORMATS)}).")
    if lowered.endswith((".yml", ".yaml")):
        content = _read_yaml(path)
        if isinstance(content, Mapping) and isinstance(content.get("reactions"), Mapping):
            return parse_own(content, str(path))
    return read_cobra(path, str(path))


def read_own(path: Path, source: str) -> ModelDraft:
    """Return the draft of a file in bioppo's own format: objective, exchanges and reactions."""
    return parse_own(_read_yaml(path), source)


def parse_own(content: Mapping[str, Any], source: str) -> ModelDraft:
    """Return the draft of a mapping in bioppo's own format."""
    try:
        reactions = {str(name): parse_reaction(entry) for name, entry in content["reactions"].items()}
        exchanges = {str(reaction): str(species) for species, reaction in content["exchanges"].items()}
        objective = str(content["objective"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{source}: the model lacks or garbles {error}: give objective, exchanges (species: reaction) and "
            "reactions (id: {stoichiometry: {metabolite: number}, lower, upper})."
        ) from error
    duplicate = len(exchanges) < len(content["exchanges"])
    unknown = [reaction for reaction in exchanges if reaction not in reactions]
    if duplicate or unknown:
        what = f"name {unknown[0]}, which is no reaction" if unknown else "name one reaction twice"
        raise UserError(f"{source}: its exchanges {what}: give one reaction of the model for every species.")
    for reaction, species in exchanges.items():
        if reactions[reaction].stoichiometry != {species: -1.0}:
            raise UserError(f"{source}: the exchange {reaction} must have the stoichiometry {{{species}: -1}}.")
    return ModelDraft(source, reactions, [objective], exchanges, declares_growth=True)


def parse_reaction(entry: Mapping[str, Any]) -> ReactionDraft:
    """Return a reaction of bioppo's own format; a missing lower bound is 0, a missing upper one 1000."""
    stoichiometry = {str(name): float(number) for name, number in entry["stoichiometry"].items()}
    return ReactionDraft(stoichiometry, float(entry.get("lower", 0.0)), float(entry.get("upper", 1000.0)))


def read_cobra(path: Path, source: str) -> ModelDraft:
    """Return the draft of a file that cobra reads.

    Exchanges are turned and scaled where the file writes them otherwise, so that a positive flux secretes one unit.
    """
    model = _read_cobra_model(path, source)
    # Where a file names no compartment of exchanges, cobra guesses it and logs what it did.
    exchanged = {reaction.id: next(iter(reaction.metabolites)).id for reaction in _exchanges(model)}
    reactions = {}
    for reaction in model.reactions:
        stoichiometry = {metabolite.id: float(number) for metabolite, number in reaction.metabolites.items()}
        lower, upper = float(reaction.lower_bound), float(reaction.upper_bound)
        if reaction.id in exchanged:
            scale = -next(iter(stoichiometry.values()))
            stoichiometry = {exchanged[reaction.id]: -1.0}
            lower, upper = sorted((lower * scale, upper * scale)) if scale != 1.0 else (lower, upper)
        reactions[reaction.id] = ReactionDraft(stoichiometry, lower, upper)
    return ModelDraft(
        source,
        reactions,
        _objectives(model, source),
        exchanged,
        {metabolite.id: metabolite.formula for metabolite in model.metabolites if metabolite.formula},
        {metabolite.id: float(metabolite.charge) for metabolite in model.metabolites if metabolite.charge is not None},
    )


def _read_cobra_model(path: Path, source: str) -> Any:
    import cobra.io

    # Where a program logs at INFO, as Hydra's do, cobra announces what its default solver cannot be told.
    logging.getLogger("cobra.core.model").setLevel(logging.WARNING)
    name = path.name.lower()
    if name.endswith(SBML):
        _require_bounds(path, source)
    readers = {
        ".json": "load_json_model",
        ".yml": "load_yaml_model",
        ".yaml": "load_yaml_model",
        ".mat": "load_matlab_model",
    }
    reader = readers.get(Path(name).suffix, "read_sbml_model")
    try:
        return getattr(cobra.io, reader)(os.fspath(path))
    except Exception as error:  # cobra raises whatever its parsers raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"{source}: cobra cannot read it ({reason}); give a valid model in SBML with fbc, JSON, YAML or MATLAB."
        ) from error


def _require_bounds(path: Path, source: str) -> None:
    """Refuse SBML without bounds, which cobra would read with bounds of its own."""
    openers: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open}
    opener = openers.get(path.suffix.lower(), open)
    try:
        with opener(path, "rb") as file:
            text = file.read()
    except (OSError, EOFError) as error:
        raise UserError(f"{source}: it cannot be read ({error}); give a valid SBML file.") from error
    if b"fbc" not in text and b"LOWER_BOUND" not in text:
        raise UserError(f"{source}: its SBML has no flux bounds (fbc): save the model as SBML level 3 with fbc.")


def _exchanges(model: Any) -> list[Any]:
    try:
        return list(model.exchanges)
    except RuntimeError:  # cobra finds no outer compartment
        return [reaction for reaction in model.boundary if reaction.id.startswith("EX_")]


def _objectives(model: Any, source: str) -> list[str]:
    from cobra.util.solver import linear_reaction_coefficients

    coefficients = {reaction.id: float(number) for reaction, number in linear_reaction_coefficients(model).items()}
    if coefficients and model.objective_direction != "max":
        raise UserError(f"{source} minimises {', '.join(coefficients)}: save the model with growth maximised.")
    return [name for name, coefficient in coefficients.items() if coefficient]


def bundled_path(identifier: str) -> Path:
    """Return the file of a model in cobra's package."""
    import cobra

    return Path(cobra.__file__).parent / "data" / BUNDLED[identifier]


def _read_yaml(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: it is no valid YAML ({str(error).splitlines()[0]}).") from error
