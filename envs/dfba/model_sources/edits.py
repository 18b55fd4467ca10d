"""Changes to a flux-balance model after it was read: what a case file writes under ``edits``."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from .... import UserError
from ....configs.option import nearest
from .draft import ModelDraft, ReactionDraft, check_bounds, check_reaction, fail_unknown
from .files import parse_reaction

EDITS = ("remove", "bounds", "objective", "biomass", "add_reactions", "enzymes")

AMINO_ACIDS = {
    "A": "ala__L_c",
    "R": "arg__L_c",
    "N": "asn__L_c",
    "D": "asp__L_c",
    "C": "cys__L_c",
    "Q": "gln__L_c",
    "E": "glu__L_c",
    "G": "gly_c",
    "H": "his__L_c",
    "I": "ile__L_c",
    "L": "leu__L_c",
    "K": "lys__L_c",
    "M": "met__L_c",
    "F": "phe__L_c",
    "P": "pro__L_c",
    "S": "ser__L_c",
    "T": "thr__L_c",
    "W": "trp__L_c",
    "Y": "tyr__L_c",
    "V": "val__L_c",
}
"""BiGG metabolites by one-letter code; ``metabolites`` of an enzyme replaces them, and ``atp``, ``adp``, ``pi``."""
ENERGY = {"atp": "atp_c", "adp": "adp_c", "pi": "pi_c"}
PRODUCTION_BOUNDS = (0.0, 100.0)


def apply_edits(draft: ModelDraft, edits: Mapping[str, Any]) -> None:
    """Change a draft in place, in this order.

    ``add_reactions``
        ``{id: {stoichiometry: {metabolite: number}, lower: 0, upper: 1000, exchange: species}}``; ``exchange``
        (optional) makes the reaction ``{species: -1}`` an exchange.
    ``enzymes``
        List of ``{name, sequence, atp_per_aa}``: see :func:`add_enzyme`.
    ``remove``
        List of reactions.
    ``bounds``
        ``{reaction: [lower, upper]}``, mmol/gDW/h.
    ``objective`` or ``biomass``
        The growth reaction, with coefficient 1.
    """
    for key in edits:
        if key not in EDITS:
            raise UserError(f"edits of {draft.source} have no key '{key}': {nearest(key, EDITS)}")
    if "objective" in edits and "biomass" in edits:
        raise UserError(f"edits of {draft.source} name both objective and biomass, which mean the same: keep one.")
    for name, entry in (edits.get("add_reactions") or {}).items():
        _add_reaction(draft, str(name), entry)
    for enzyme in edits.get("enzymes") or ():
        add_enzyme(draft, enzyme)
    for name in _names(draft, edits.get("remove") or ()):
        _require(draft, "remove", name)
        del draft.reactions[name]
        draft.exchanges.pop(name, None)
    for name, pair in (edits.get("bounds") or {}).items():
        _require(draft, "bounds", name)
        _change_bounds(draft, name, pair)
    chosen = edits.get("objective", edits.get("biomass"))
    if chosen is not None:
        _require(draft, "biomass", str(chosen))
        draft.objectives = [str(chosen)]


def add_enzyme(draft: ModelDraft, enzyme: Mapping[str, Any]) -> None:
    """Add the synthesis of an enzyme from amino acids and ATP, and its export.

    With N = amino acids + ATP and ATP = length x ``atp_per_aa``, ``<name>_production`` (bounds [0, 100]) consumes
    counts/N of every amino acid and ATP/N of ATP, and gives 1/N enzyme and ATP/N each of ADP and phosphate; one unit of
    flux thus spends one mmol of building blocks. ``EX_<name>_e`` exports it, as the species ``<name>``.
    """
    source = draft.source
    try:
        name, sequence = str(enzyme["name"]), "".join(str(enzyme["sequence"]).split()).upper()
        atp_per_residue = float(enzyme["atp_per_aa"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"An enzyme in edits of {source} lacks {error}: give name, sequence and atp_per_aa.") from error
    if unknown := sorted(set(sequence) - set(AMINO_ACIDS)):
        raise UserError(
            f"The sequence of {name} in edits of {source} has {', '.join(unknown)}: give the 20 amino acids."
        )
    if not sequence or not atp_per_residue >= 0:
        raise UserError(
            f"The enzyme {name} in edits of {source} has {len(sequence)} amino acids and "
            f"atp_per_aa={atp_per_residue:g}: give a sequence and atp_per_aa of at least 0."
        )
    names = {**AMINO_ACIDS, **ENERGY, **(enzyme.get("metabolites") or {})}
    present = set(draft.metabolites)
    for code in (*sorted(set(sequence)), *ENERGY):
        if names[code] not in present:
            fail_unknown(source, f"metabolite for {code} of the enzyme {name},", names[code], present)
    atp = len(sequence) * atp_per_residue
    total = len(sequence) + atp
    stoichiometry = {names[code]: -count / total for code, count in sorted(Counter(sequence).items())}
    for code, sign in (("atp", -1.0), ("adp", 1.0), ("pi", 1.0)):
        stoichiometry[names[code]] = stoichiometry.get(names[code], 0.0) + sign * atp / total
    stoichiometry[name] = 1.0 / total
    _insert(draft, f"{name}_production", ReactionDraft(stoichiometry, *PRODUCTION_BOUNDS))
    _insert(draft, f"EX_{name}_e", ReactionDraft({name: -1.0}, 0.0, 1000.0))
    draft.exchanges[f"EX_{name}_e"] = name


def _add_reaction(draft: ModelDraft, name: str, entry: Any) -> None:
    try:
        reaction = parse_reaction(entry)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"add_reactions.{name} in edits of {draft.source} lacks or garbles {error}: give stoichiometry "
            "({metabolite: number}), lower and upper."
        ) from error
    species = entry.get("exchange")
    if species is not None and reaction.stoichiometry != {str(species): -1.0}:
        raise UserError(
            f"add_reactions.{name} in edits of {draft.source}: an exchange of {species} has the stoichiometry "
            f"{{{species}: -1}}."
        )
    _insert(draft, name, reaction)
    if species is not None:
        draft.exchanges[name] = str(species)


def _insert(draft: ModelDraft, name: str, reaction: ReactionDraft) -> None:
    if name in draft.reactions:
        raise UserError(f"edits of {draft.source} add the reaction {name}, which is there: give it another name.")
    check_reaction(f"edits of {draft.source}", name, reaction)
    draft.reactions[name] = reaction


def _change_bounds(draft: ModelDraft, name: str, pair: Any) -> None:
    try:
        lower, upper = (float(value) for value in pair)
    except (TypeError, ValueError) as error:
        raise UserError(f"bounds.{name}={pair} in edits of {draft.source}: give [lower, upper].") from error
    check_bounds(f"edits of {draft.source}", name, lower, upper)
    draft.reactions[name].lower, draft.reactions[name].upper = lower, upper


def _names(draft: ModelDraft, value: Any) -> Sequence[str]:
    if isinstance(value, str | Mapping):
        raise UserError(f"remove={value} in edits of {draft.source}: give a list of reactions.")
    return [str(name) for name in value]


def _require(draft: ModelDraft, key: str, name: str) -> None:
    if name not in draft.reactions:
        fail_unknown(f"{key} in edits: {draft.source}", "reaction", name, draft.reactions)
