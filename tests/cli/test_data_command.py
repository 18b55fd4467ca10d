import hashlib
import re
import shlex
from pathlib import Path

import pytest
import yaml

from bioppo.cli.main import main
from bioppo.datasets import catalogue, transfer

PAGE = Path(__file__).parents[2] / "docs" / "data.md"


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """The catalogue's names with synthetic contents, a mirror of them and an empty cache."""
    entries = yaml.safe_load(catalogue.CATALOGUE.read_text())
    for name, entry in entries.items():
        for file, facts in entry["files"].items():
            content = f"{name}/{file}".encode()
            facts |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            (tmp_path / "mirror" / name).mkdir(parents=True, exist_ok=True)
            (tmp_path / "mirror" / name / file).write_bytes(content)
    (tmp_path / "catalogue.yaml").write_text(yaml.safe_dump(entries, sort_keys=False))
    monkeypatch.setattr(catalogue, "CATALOGUE", tmp_path / "catalogue.yaml")
    monkeypatch.setenv("BIOPPO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BIOPPO_DATA_MIRROR", (tmp_path / "mirror").as_uri())
    return tmp_path / "mirror"


def run(line):
    return main(["data", *line.split()])


def listed(capsys):
    assert run("list") == 0
    header, *rows = (re.split(r"  +", line.strip()) for line in capsys.readouterr().out.splitlines())
    assert header == ["name", "size", "licence", "present", "where"]
    return {name: rest for name, *rest in rows}


def test_the_list_follows_what_is_there(mirror, tmp_path, capsys):
    folder = tmp_path / "cache" / "data" / "kinetic_varma"
    assert listed(capsys)["kinetic_varma"] == ["103 B", "Apache-2.0", "no", str(folder)]
    assert run("get kinetic_varma") == 0
    capsys.readouterr()
    rows = listed(capsys)
    assert rows["kinetic_varma"][2] == "yes"
    assert rows["kinetic_renaissance"][2] == "no"
    (folder / "varma_strain_1.yml").unlink()
    assert listed(capsys)["kinetic_varma"][2] == "2 of 3"


def test_the_licence_is_shown_before_the_first_byte(mirror, tmp_path, monkeypatch, capsys):
    shown = []
    open_source = transfer.open_source

    def watch(url, offset):
        shown.append(capsys.readouterr().out)
        return open_source(url, offset)

    monkeypatch.setattr(transfer, "open_source", watch)
    assert run("get kinetic_varma kinetic_renaissance") == 0
    assert len(shown) == 8
    assert "kinetic_varma: Rate laws" in shown[0]
    assert "licence   Apache-2.0" in shown[0]
    assert "citation  Weilandt et al. 2023" in shown[0]
    assert "homepage  https://github.com/EPFL-LCSB/skimpy" in shown[0]
    assert "citation  Choudhury et al. 2024" in shown[3]
    captured = capsys.readouterr()
    assert captured.out == f"Complete: {tmp_path / 'cache' / 'data' / 'kinetic_renaissance'}\n"
    assert "kinetic_renaissance/samples_fdp4.csv: 0 B of " in captured.err
    assert run("get kinetic_varma") == 0
    assert len(shown) == 8
    captured = capsys.readouterr()
    assert "files     3, 103 B; all there, their checksums are compared" in captured.out
    assert captured.err == ""


def test_clearing_says_what_went(mirror, tmp_path, capsys):
    assert run("get kinetic_varma kinetic_renaissance") == 0
    capsys.readouterr()
    assert run("clear kinetic_varma") == 0
    assert capsys.readouterr().out == "Removed kinetic_varma (103 bytes).\n"
    assert run("clear") == 0
    assert capsys.readouterr().out == "Removed kinetic_renaissance (186 bytes).\n"
    assert run("clear") == 0
    assert capsys.readouterr().out == f"There is nothing to remove in {tmp_path / 'cache' / 'data'}.\n"


def test_clearing_removes_trained_models(mirror, tmp_path, capsys):
    folder = tmp_path / "cache" / "perturbation_embedding"
    for words in ("clear perturbation_embedding", "clear"):
        assert run("get kinetic_varma") == 0
        folder.mkdir()
        (folder / "model.npz").write_bytes(b"12345")
        capsys.readouterr()
        assert run(words) == 0
        assert "Removed perturbation_embedding (5 bytes).\n" in capsys.readouterr().out
        assert not folder.exists()
        assert (tmp_path / "cache" / "data" / "kinetic_varma").exists() == (words != "clear")


MISTAKES = {
    "": "bioppo data: the following arguments are required: VERB; see `bioppo data --help`.",
    "make": "argument VERB: invalid choice: 'make' (choose from ",
    "get": "bioppo data get: the following arguments are required: NAME; see `bioppo data get --help`.",
    "get kinetic_varma kinetic_rena": "There is no data set 'kinetic_rena': did you mean kinetic_renaissance",
    "clear kinetic_vama": "There is no data set 'kinetic_vama': did you mean kinetic_varma",
    "list all": "unrecognized arguments: all",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_one_sentence_and_downloads_nothing(line, mirror, tmp_path, capsys):
    assert run(line) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("bioppo: ")
    assert MISTAKES[line] in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not (tmp_path / "cache").exists()


def test_the_choices_of_a_wrong_verb_are_named(mirror, capsys):
    assert run("unpack") == 2
    error = capsys.readouterr().err
    assert all(verb in error for verb in ("list", "get", "clear", "build", "check", "delta", "convert"))


def test_being_offline_ends_in_one_sentence(mirror, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BIOPPO_DATA_MIRROR", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert run("get kinetic_varma") == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(
        "bioppo: Cannot download http://127.0.0.1:9/kinetic_varma/varma_strain_1.yml (there is no"
    )
    assert "BIOPPO_DATA_MIRROR" in lines[0]
    assert "download https://raw.githubusercontent.com/EPFL-LCSB/skimpy/" in lines[0]
    assert lines[0].endswith(f"yourself into {tmp_path / 'cache' / 'data' / 'kinetic_varma'}.")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("bioppo data ", "list get clear build check delta convert"),
        ("bioppo data g", "get"),
        ("bioppo data get kinetic_v", "kinetic_varma"),
        ("bioppo data get kinetic_varma kinetic_", "kinetic_renaissance"),
        ("bioppo data list ", ""),
    ],
)
def test_completion(line, expected, monkeypatch, capsys):
    monkeypatch.setenv("COMP_LINE", line)
    assert main(["-sc", "query=bash"]) == 0
    assert capsys.readouterr().out.split() == expected.split()


def test_the_page_lists_the_data_sets():
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    for row, entry in zip(rows, catalogue.read_catalogue().values(), strict=True):
        assert row.startswith(f"| `{entry.name}` | {entry.size} | {entry.licence} |")
        assert entry.homepage in row
        assert all(f"`{file.name}`" in row for file in entry.files)


def test_the_pages_commands_run_in_their_order(mirror, capsys):
    blocks = re.findall(r"^```bash\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    lines = [line.partition("   ")[0] for block in blocks for line in block.splitlines()]
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("bioppo ")]
    assert len(commands) > 3
    for words in commands:
        assert main(words) == 0, words
    shown = capsys.readouterr().out
    assert "Complete: " in shown
    assert "Removed kinetic_varma" in shown
