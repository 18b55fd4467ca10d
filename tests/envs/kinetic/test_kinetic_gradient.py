import numpy as np
import pytest


def central_differences(simulator, ln_km, step):
    steps = step * np.eye(len(ln_km))
    difference = simulator.max_eigenvalue(ln_km + steps) - simulator.max_eigenvalue(ln_km - steps)
    return difference / (2 * step)


@pytest.mark.parametrize("member", [0, 1])
def test_gradient_matches_golden_values(golden, golden_simulators, member):
    simulator = golden_simulators[member]
    cases = golden["members"][member]["cases"]
    sets = np.array([case["ln_km"] for case in cases])
    largest, gradient = simulator.gradient(sets)
    np.testing.assert_array_equal(largest, simulator.max_eigenvalue(sets))
    for row, case in zip(gradient, cases, strict=True):
        assert len(case["gradient_lambda_ln_km"]) == 6
        for name, expected in case["gradient_lambda_ln_km"].items():
            assert row[simulator.parameter_names.index(name)] == pytest.approx(expected, rel=1e-4)


def has_gap(simulator, ln_km):
    eigenvalues = simulator.eigenvalues(ln_km[None])[0]
    real = np.sort(eigenvalues[eigenvalues.imag >= 0].real)[::-1]
    return real[0] - real[1] > 1e-2 * abs(real[0])


@pytest.mark.parametrize(("model", "count"), [("zoo_simulator", 60), ("golden_simulators", 6)])
def test_gradient_equals_central_differences(request, model, count):
    simulator = request.getfixturevalue(model)
    simulator = simulator[0] if isinstance(simulator, list) else simulator
    shape = (count, len(simulator.parameter_names))
    sets = simulator.ln_concentration + np.random.default_rng(2).logistic(scale=1.5, size=shape)
    compared = [ln_km for ln_km in sets if has_gap(simulator, ln_km)]
    assert len(compared) > count / 3
    complex_leading = 0
    for ln_km in compared:
        _, gradient = simulator.gradient(ln_km[None])
        expected = central_differences(simulator, ln_km, 1e-4)
        np.testing.assert_allclose(gradient[0], expected, atol=1e-4 * np.abs(expected).max())
        eigenvalues = simulator.eigenvalues(ln_km[None])[0]
        complex_leading += bool(eigenvalues[eigenvalues.real.argmax()].imag != 0)
    if model == "zoo_simulator":
        assert complex_leading > 0


def test_gradient_does_not_depend_on_the_other_sets(golden_simulators):
    simulator = golden_simulators[0]
    sets = simulator.ln_concentration + np.random.default_rng(4).logistic(size=(5, 258))
    _, together = simulator.gradient(sets)
    for row, ln_km in zip(together, sets, strict=True):
        np.testing.assert_allclose(simulator.gradient(ln_km[None])[1][0], row, rtol=1e-6, atol=1e-9 * np.abs(row).max())
