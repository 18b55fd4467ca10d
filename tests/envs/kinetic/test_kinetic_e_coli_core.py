import builtins
import json
import socket

import numpy as np
import pytest

from bioppo.envs.kinetic import disk_cache
from bioppo.envs.kinetic.errors import KineticInputError
from bioppo.envs.kinetic.network import RateLaw, stoichiometric_matrix
from bioppo.envs.kinetic.sources import e_coli_core
from bioppo.envs.kinetic.sources.e_coli_core import build_core_model, draw_member, load_e_coli_core, read_textbook_model
from bioppo.envs.kinetic.steady_state import content_hash

REVERSE = {
    "ACKr",
    "ACt2r",
    "AKGt2r",
    "ALCD2x",
    "CO2t",
    "D_LACt2",
    "ETOHt2r",
    "GLUDy",
    "GLUt2r",
    "LDH_D",
    "PGK",
    "PGM",
    "RPI",
    "SUCOAS",
}


@pytest.fixture(scope="session")
def core():
    return build_core_model()


@pytest.fixture(scope="session")
def members(core):
    return [draw_member(core, member) for member in range(8)]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BIOPPO_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def count_builds(core, monkeypatch):
    """Count the builds, which are shortened to what the session has built already."""
    builds = []

    def build():
        builds.append("model")
        return core

    def draw(model, member):
        builds.append(f"member {member}")
        return draw_member(model, member)

    monkeypatch.setattr(e_coli_core, "build_core_model", build)
    monkeypatch.setattr(e_coli_core, "draw_member", draw)
    return builds


def test_the_network_is_the_golden_one(core, golden_network):
    assert core.network == golden_network


def test_counts_and_laws(core):
    network = core.network
    assert len(network.parameter_names) == 258
    laws = [reaction.law for reaction in network.reactions]
    assert laws.count(RateLaw.CONVENIENCE) == 71
    assert {reaction.name for reaction in network.reactions if not reaction.law.reversible} == {
        "ATPM",
        "Biomass_Ecoli_core",
    }
    assert not any("h2o" in species for species in network.species)


def test_directions_are_the_optimum(core):
    assert core.distance == pytest.approx(1.925, rel=0.02)
    reverse = {reaction.name for reaction, sign in zip(core.network.reactions, core.direction, strict=True) if sign < 0}
    assert reverse == REVERSE
    growth = dict(zip((r.name for r in core.network.reactions), core.reference, strict=True))["Biomass_Ecoli_core"]
    assert growth == pytest.approx(0.874, abs=1e-3)


def test_members_are_steady_and_driven(core, members):
    matrix = stoichiometric_matrix(core.network)
    n_variables = len(core.network.variables)
    reversible = core.network.reversible
    for state in members:
        residual = np.abs(matrix[:n_variables] @ state.flux) / (np.abs(matrix[:n_variables]) @ np.abs(state.flux))
        assert residual.max() < 1e-9
        np.testing.assert_array_equal(np.sign(state.flux), core.direction)
        assert np.all(state.flux[reversible] * state.ln_displacement[reversible] < 0)
        assert np.abs(state.ln_displacement[reversible]).min() >= 0.1 - 1e-6
        assert np.all(np.isneginf(state.ln_displacement[~reversible]))
        smallest = np.where([r.name == "Biomass_Ecoli_core" for r in core.network.reactions], 0.3, 0.05) * 0.3
        assert np.all(np.abs(state.flux) >= smallest - 1e-7)
        turnover = 0.5 * np.abs(matrix[:n_variables]) @ np.abs(state.flux)
        assert np.all(state.concentration[:n_variables] <= turnover / 60 * (1 + 1e-12))


def test_free_energies_are_differences_of_potentials(core, members):
    reversible = core.network.reversible
    matrix = stoichiometric_matrix(core.network)[:, reversible]
    for state in members:
        free_energy = state.ln_displacement[reversible]
        potential = np.linalg.lstsq(matrix.T, free_energy, rcond=None)[0]
        np.testing.assert_allclose(matrix.T @ potential, free_energy, atol=1e-8)


def test_concentrations_are_those_of_the_golden_members(members, golden_states):
    """Draws, not solutions of a program: they do not depend on the solver, save where the turnover limits them."""
    for state, golden in zip(members, golden_states, strict=False):
        same = np.isclose(state.concentration, golden.concentration, rtol=1e-12)
        assert same.sum() >= 60


def test_members_differ_and_are_reproducible(core, members):
    hashes = [content_hash(core.network, state) for state in members]
    assert len(set(hashes)) == 8
    again = draw_member(build_core_model(), 3)
    assert content_hash(core.network, again) == hashes[3]
    assert again.provenance == members[3].provenance
    assert "member 3" in again.provenance


def test_the_state_is_kept_on_disk(cache, count_builds):
    network, state = load_e_coli_core(2)
    assert count_builds == ["model", "member 2"]
    again_network, again = load_e_coli_core(2)
    assert count_builds == ["model", "member 2"]
    assert again_network == network
    assert content_hash(again_network, again) == content_hash(network, state)
    assert again.provenance == state.provenance
    load_e_coli_core(0)
    assert count_builds == ["model", "member 2", "member 0"]
    assert not list(cache.rglob("*.part"))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"key": {}, "content": {}}', "\x00"])
def test_an_unreadable_file_is_rebuilt(cache, count_builds, text):
    load_e_coli_core()
    files = list(cache.rglob("*.json"))
    assert len(files) == 2
    for file in files:
        file.write_text(text)
    load_e_coli_core()
    assert len(count_builds) == 4
    load_e_coli_core()
    assert len(count_builds) == 4


@pytest.mark.parametrize("damage", ["flux", "concentration", "network"])
def test_a_readable_file_with_wrong_content_is_rebuilt(cache, count_builds, damage):
    load_e_coli_core()
    (file,) = cache.rglob("e_coli_core_model-*" if damage == "network" else "e_coli_core_state-*")
    entry = json.loads(file.read_text())
    if damage == "network":
        entry["content"]["network"]["reactions"].pop()
    else:
        entry["content"][damage][0] *= -1
    file.write_text(json.dumps(entry))
    load_e_coli_core()
    assert count_builds[2:] == (["model"] if damage == "network" else ["member 0"])


def test_another_version_has_another_file(cache, count_builds, monkeypatch):
    load_e_coli_core()
    monkeypatch.setattr(e_coli_core, "version", lambda name: "0.0")
    load_e_coli_core()
    assert len(count_builds) == 4


def test_a_directory_that_cannot_be_written_is_no_error(tmp_path, monkeypatch, count_builds):
    occupied = tmp_path / "file"
    occupied.write_text("")
    monkeypatch.setenv("BIOPPO_CACHE", str(occupied))
    load_e_coli_core()
    load_e_coli_core()
    assert len(count_builds) == 4


def test_an_interrupted_write_leaves_nothing_behind(cache, monkeypatch):
    def fail(source, target):
        raise OSError("disk full")

    monkeypatch.setattr(disk_cache.os, "replace", fail)
    disk_cache.write_entry("name", {"a": 1}, [1.0])
    assert disk_cache.read_entry("name", {"a": 1}) is None
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_an_entry_of_another_key_is_not_read(cache):
    disk_cache.write_entry("name", {"a": 1}, 1.0)
    (file,) = cache.rglob("*.json")
    disk_cache.write_entry("name", {"a": 2}, 2.0)
    (other,) = set(cache.rglob("*.json")) - {file}
    other.replace(file)
    assert disk_cache.read_entry("name", {"a": 1}) is None


def test_the_cache_directory_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("BIOPPO_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert disk_cache.cache_directory() == tmp_path / "bioppo"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert disk_cache.cache_directory() == tmp_path / ".cache" / "bioppo"


def test_nothing_is_downloaded(monkeypatch):
    def refuse(*arguments, **keywords):
        raise AssertionError("network access")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert len(read_textbook_model().reactions) == 95


def test_a_missing_cobra_is_named(monkeypatch):
    real_import = builtins.__import__

    def without_cobra(name, *arguments, **keywords):
        if name.startswith("cobra"):
            raise ImportError(name)
        return real_import(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without_cobra)
    with pytest.raises(KineticInputError, match="install the package cobra"):
        read_textbook_model()


def test_a_package_that_is_not_installed_is_named(monkeypatch):
    def missing(name):
        raise e_coli_core.PackageNotFoundError(name)

    monkeypatch.setattr(e_coli_core, "version", missing)
    with pytest.raises(KineticInputError, match="needs the package cobra: install it"):
        load_e_coli_core()


def test_a_negative_member_is_refused():
    with pytest.raises(KineticInputError, match="member=-1: give a number of at least 0"):
        load_e_coli_core(-1)
