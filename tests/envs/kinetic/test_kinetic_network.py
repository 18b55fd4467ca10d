import dataclasses

import numpy as np
import pytest

from bioppo.envs.kinetic.errors import KineticInputError
from bioppo.envs.kinetic.network import (
    Modifier,
    ModifierKind,
    Network,
    RateLaw,
    Reaction,
    Slot,
    mass_balance_matrix,
    stoichiometric_matrix,
)
from bioppo.envs.kinetic.steady_state import SteadyState, check_steady_state, content_hash

A_TO_B = Reaction(
    "conversion",
    RateLaw.CONVENIENCE,
    (Slot("substrate1", "a", -2.0, "km_a"), Slot("product1", "b", 1.0, "km_b")),
    (Modifier("proton", 1.0, ModifierKind.DISPLACEMENT), Modifier("c", -1.0, ModifierKind.FIRST_ORDER)),
)


def network(*reactions, variables=("a", "b", "c"), constants=("proton",), **keywords):
    return Network(variables, constants, reactions, **keywords)


def changed(**keywords):
    return dataclasses.replace(A_TO_B, **keywords)


def test_modifiers_enter_the_mass_balance_and_ratios_scale_rows():
    made = network(A_TO_B, volume_ratios=(1.0, 10.0, 3.0))
    np.testing.assert_array_equal(stoichiometric_matrix(made)[:, 0], [-2, 1, -1, 1])
    np.testing.assert_array_equal(mass_balance_matrix(made)[:, 0], [-2, 10, -3])


def test_a_species_on_both_sides_cancels_in_the_balance():
    slots = (*A_TO_B.slots, Slot("product2", "a", 0.5, "km_a2"))
    assert stoichiometric_matrix(network(changed(slots=slots)))[0, 0] == -1.5


def test_parameters_stand_in_file_order_with_inert_ones():
    slots = (
        Slot("product1", "b", 1.0, "km_p"),
        Slot("substrate1", "a", -1.0, "km_s"),
        Slot("product2", "c", 1.0, None),
    )
    irreversible = Reaction("waste", RateLaw.IRREVERSIBLE, slots)
    made = network(A_TO_B, irreversible)
    assert made.parameter_names == ("km_a", "km_b", "km_p", "km_s")
    np.testing.assert_array_equal(made.acting, [True, True, False, True])


def test_slots_are_in_natural_order_within_a_side():
    labels = ("substrate10", "substrate2", "substrate1", "substrate")
    reaction = Reaction("order", RateLaw.CONVENIENCE, tuple(Slot(label, "a", -1.0, label) for label in labels))
    assert [slot.label for slot in reaction.substrates] == ["substrate", "substrate1", "substrate2", "substrate10"]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: network(A_TO_B, variables=("a", "c")), "Reaction conversion uses the species b, which is neither"),
        (lambda: network(A_TO_B, constants=()), "Reaction conversion uses the species proton, which is neither"),
        (lambda: network(A_TO_B, constants=("proton", "a")), "The species a is given twice"),
        (lambda: network(A_TO_B, A_TO_B), "The reaction conversion is given twice"),
        (lambda: network(A_TO_B, changed(name="other")), "The Michaelis constant km_a is given twice"),
        (lambda: network(), "no variable species or no reactions"),
        (lambda: network(A_TO_B, volume_ratios=(1.0,)), "1 volume ratios for 3 variable species"),
        (lambda: network(A_TO_B, volume_ratios=(1.0, 0.0, 1.0)), "The volume ratio of b is 0; give"),
        (lambda: network(A_TO_B, volume_ratios=(1.0, 1.0, np.inf)), "The volume ratio of c is inf; give"),
        (lambda: network(changed(slots=())), "Reaction conversion has no substrates or products"),
        (
            lambda: network(changed(slots=(Slot("substrate1", "a", 0.0, "km_a"),))),
            "Reaction conversion gives a the stoichiometry 0; give",
        ),
        (
            lambda: network(changed(modifiers=(Modifier("c", np.nan, ModifierKind.FIRST_ORDER),))),
            "Reaction conversion gives c the stoichiometry nan; give",
        ),
        (
            lambda: network(changed(law=RateLaw.PAIRWISE_HILL, slots=A_TO_B.slots[:1])),
            "1 substrates and 0 products, but a Hill law pairs them one to one; use Convenience",
        ),
        (
            lambda: network(changed(law=RateLaw.MASS_ACTION)),
            "follows mass action but a has the Michaelis constant km_a",
        ),
        (
            lambda: network(changed(slots=(Slot("substrate1", "a", -1.0, None),))),
            "Reaction conversion has no Michaelis constant for a, which its law convenience needs",
        ),
        (
            lambda: network(changed(law=RateLaw.IRREVERSIBLE, slots=(Slot("substrate1", "a", -1.0, None),))),
            "Reaction conversion has no Michaelis constant for a",
        ),
    ],
)
def test_a_network_that_does_not_fit_is_refused(make, sentence):
    with pytest.raises(KineticInputError) as error:
        make()
    assert sentence in str(error.value)


CHAIN = Network(
    ("a",),
    ("source", "sink"),
    (
        Reaction(
            "in", RateLaw.CONVENIENCE, (Slot("substrate1", "source", -1.0, "k1"), Slot("product1", "a", 1.0, "k2"))
        ),
        Reaction("out", RateLaw.IRREVERSIBLE, (Slot("substrate1", "a", -1.0, "k3"),)),
    ),
)


def chain_state(flux=(2.0, 2.0), displacement=(-1.0, -np.inf), concentration=(1e-3, 1e-2, 1e-2)):
    return SteadyState(flux, displacement, concentration, "row 7")


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (chain_state(flux=(2.0, 2.1)), "row 7: the state is not steady, a changes by 0.0244 of its turnover"),
        (chain_state(flux=(2.0, 2.0 + 1e-8)), "a changes by 2.5e-09 of its turnover"),
        (chain_state(flux=(0.0, 2.0)), "row 7: the flux of in is 0 mol/L/h"),
        (chain_state(flux=(np.nan, 2.0)), "row 7: the flux of in is nan mol/L/h"),
        (
            chain_state(flux=(-2.0, -2.0), displacement=(1.0, 0.0)),
            "the flux of out is -2 mol/L/h, but its law is irrev",
        ),
        (
            chain_state(displacement=(1.0, 0.0)),
            "reaction in has the flux 2 mol/L/h and the displacement dG/RT = 1; give",
        ),
        (chain_state(displacement=(0.0, 0.0)), "the displacement dG/RT = 0; give them opposite signs"),
        (chain_state(displacement=(-np.inf, 0.0)), "the displacement dG/RT = -inf; give"),
        (chain_state(displacement=(np.nan, 0.0)), "the displacement dG/RT = nan; give"),
        (chain_state(concentration=(0.0, 1.0, 1.0)), "row 7: the concentration of a is 0 mol/L; give"),
        (chain_state(concentration=(1.0, -1.0, 1.0)), "the concentration of source is -1 mol/L"),
        (chain_state(concentration=(1.0, 1.0, np.nan)), "the concentration of sink is nan mol/L"),
        (chain_state(concentration=(10.1, 1.0, 1.0)), "of a is 10.1 mol/L; give a value between 0 and 10, check conc"),
        (chain_state(concentration=(1.0, 1.0)), "row 7: concentration has the shape (2,); give (3,)"),
        (chain_state(flux=(1.0,)), "row 7: flux has the shape (1,); give (2,)"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(state, sentence):
    with pytest.raises(KineticInputError) as error:
        check_steady_state(CHAIN, state)
    assert sentence in str(error.value)


def test_a_state_within_the_limits_is_accepted():
    check_steady_state(CHAIN, chain_state(flux=(2.0, 2.0 + 1e-9), concentration=(10.0, 1e-30, 1.0)))


def test_a_state_is_a_copy_that_cannot_be_written():
    flux = np.array([2.0, 2.0])
    state = chain_state(flux=flux)
    flux[0] = 3.0
    assert state.flux[0] == 2.0
    with pytest.raises(ValueError, match="read-only"):
        state.flux[0] = 3.0


def test_the_hash_covers_what_decides_an_eigenvalue():
    expected = content_hash(CHAIN, chain_state())
    # The same on every machine and in every version: caches and provenance compare it.
    assert expected == "86e97ac1fb5e167a75ee7a3326a94a7d8010ad6bdb0c156fb642772c0eff5c5c"
    assert content_hash(CHAIN, dataclasses.replace(chain_state(), provenance="row 8")) == expected
    assert content_hash(CHAIN, chain_state(displacement=(-1.0, -5.0))) == expected
    others = [
        content_hash(CHAIN, chain_state(displacement=(-1.1, -np.inf))),
        content_hash(CHAIN, chain_state(flux=(2.0, 2.5))),
        content_hash(CHAIN, chain_state(concentration=(1e-3, 1e-2, 1.1e-2))),
        content_hash(dataclasses.replace(CHAIN, volume_ratios=(2.0,)), chain_state()),
        content_hash(dataclasses.replace(CHAIN, variables=("a",), constants=("sink", "source")), chain_state()),
    ]
    assert len({expected, *others}) == 6
