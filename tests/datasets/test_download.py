import hashlib
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bioppo import UserError
from bioppo.datasets import download
from bioppo.datasets.cache import cache_directory
from bioppo.datasets.catalogue import data_set, read_catalogue, size_text
from bioppo.datasets.progress import BarProgress, LineProgress, SilentProgress, make_progress
from bioppo.datasets.transfer import SourceError, open_remote, reason

COUNTS = bytes(range(256)) * 3000
HALF = len(COUNTS) // 2


class Recorder(SilentProgress):
    """Remembers the files that were really transferred."""

    def __init__(self):
        self.begun, self.count = [], 0

    def begin(self, title, done, total):
        self.begun.append((title, done, total))

    def advance(self, count):
        self.count += count


def in_cache(tmp_path, name="cells"):
    return {path.name: path for path in (tmp_path / "cache" / "data" / name).iterdir() if path.name != ".lock"}


def test_the_catalogue_says_what_a_user_must_know():
    for name, entry in read_catalogue().items():
        assert name.isidentifier()
        assert all(len(text) > 5 for text in (entry.title, entry.licence, entry.citation))
        assert entry.homepage.startswith("https://")
        assert entry.files
        for file in entry.files:
            assert Path(file.name).name == file.name
            assert file.url.startswith("https://")
            assert file.url.endswith(file.name)
            assert file.sha256 is None or (len(file.sha256) == 64 and int(file.sha256, 16))
            assert file.md5 is None or (len(file.md5) == 32 and int(file.md5, 16))


def test_the_kinetic_files_are_pinned_and_checked():
    for name in ("kinetic_renaissance", "kinetic_varma"):
        entry = data_set(name)
        assert entry.licence == "Apache-2.0"
        for file in entry.files:
            commit = file.url.split("/")[5]
            assert len(commit) == 40
            assert file.checksum == f"sha256:{file.sha256}"
            assert file.bytes


@pytest.mark.parametrize("name", ["kinetic_renaissance", "kinetic_varma"])
def test_the_catalogues_checksums_are_those_of_the_public_files(name, public_data, tmp_path, monkeypatch):
    monkeypatch.setenv("BIOPPO_CACHE", str(tmp_path / "cache"))
    (tmp_path / name).symlink_to(public_data("kinetic"))
    monkeypatch.setenv("BIOPPO_DATA_MIRROR", tmp_path.as_uri())
    folder = download.get(name)
    assert download.find(name) == folder == tmp_path / "cache" / "data" / name
    for file in data_set(name).files:
        assert hashlib.sha256((folder / file.name).read_bytes()).hexdigest() == file.sha256


def test_a_mirror_is_copied_once(mirror, tmp_path):
    with pytest.raises(UserError, match=r"core lacks model.json in .*core: run bioppo data get core\."):
        download.find("core")
    first, second = Recorder(), Recorder()
    folder = download.get("cells", progress=first)
    assert folder == download.find("cells") == tmp_path / "cache" / "data" / "cells"
    assert sorted(in_cache(tmp_path)) == ["counts.h5ad", "labels.csv"]
    assert (folder / "counts.h5ad").read_bytes() == COUNTS
    assert first.begun == [("cells/counts.h5ad", 0, len(COUNTS)), ("cells/labels.csv", 0, 21)]
    assert first.count == len(COUNTS) + 21
    download.get("cells", progress=second)
    assert second.begun == []


def test_a_damaged_file_is_downloaded_again(mirror):
    folder, recorder = download.get("cells"), Recorder()
    (folder / "counts.h5ad").write_bytes(COUNTS[::-1])
    download.get("cells", progress=recorder)
    assert [title for title, *_ in recorder.begun] == ["cells/counts.h5ad"]
    assert (folder / "counts.h5ad").read_bytes() == COUNTS


@pytest.mark.parametrize("left", [HALF, len(COUNTS), len(COUNTS) + 5])
def test_a_copy_continues_where_it_stopped(left, mirror, tmp_path):
    folder, recorder = tmp_path / "cache" / "data" / "cells", Recorder()
    folder.mkdir(parents=True)
    (folder / "counts.h5ad.part").write_bytes((COUNTS + b"extra")[:left])
    download.get("cells", progress=recorder)
    assert (folder / "counts.h5ad").read_bytes() == COUNTS
    begun = {title: done for title, done, _ in recorder.begun}
    assert begun.get("cells/counts.h5ad") == {HALF: HALF, len(COUNTS): None, len(COUNTS) + 5: 0}[left]


def test_a_broken_connection_is_continued(server, use_catalogue, tmp_path):
    use_catalogue(server.url)
    server.mood = "breaks"
    with pytest.raises(UserError, match=r"counts.h5ad \(the connection broke before the end of the file\): run bioppo"):
        download.get("cells")
    there = in_cache(tmp_path)
    assert sorted(there) == ["counts.h5ad.part"]
    assert 0 < there["counts.h5ad.part"].stat().st_size <= HALF
    left = there["counts.h5ad.part"].stat().st_size
    server.mood = ""
    folder = download.get("cells")
    assert server.ranges == [None, f"bytes={left}-", None]
    assert server.encodings == {"identity"}
    assert (folder / "counts.h5ad").read_bytes() == COUNTS


@pytest.mark.parametrize(
    ("mood", "requests"),
    [("no ranges", 1), ("refuses ranges", 2), ("other range", 2)],
)
def test_a_server_that_cannot_continue_begins_anew(mood, requests, server, use_catalogue, tmp_path):
    use_catalogue(server.url)
    folder, recorder = tmp_path / "cache" / "data" / "cells", Recorder()
    folder.mkdir(parents=True)
    (folder / "counts.h5ad.part").write_bytes(COUNTS[:HALF])
    server.mood = mood
    download.get("cells", progress=recorder)
    assert recorder.begun[0] == ("cells/counts.h5ad", 0, len(COUNTS))
    assert server.ranges == [f"bytes={HALF}-"] + [None] * requests  # the last one is for labels.csv
    assert (folder / "counts.h5ad").read_bytes() == COUNTS


def test_a_killed_download_is_continued(server, use_catalogue, tmp_path):
    use_catalogue(server.url)
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from bioppo.datasets import catalogue, download, progress, transfer\n"
        "catalogue.CATALOGUE, transfer.CHUNK_BYTES = Path(sys.argv[1]), 1024\n"
        "class Slow(progress.SilentProgress):\n"
        "    def advance(self, count): time.sleep(0.01)\n"
        "download.get('cells', progress=Slow())\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "catalogue.yaml")])
    part = tmp_path / "cache" / "data" / "cells" / "counts.h5ad.part"
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = part.stat().st_size
    assert 0 < left < len(COUNTS)
    assert sorted(in_cache(tmp_path)) == ["counts.h5ad.part"]
    folder = download.get("cells")
    assert f"bytes={left}-" in server.ranges
    assert (folder / "counts.h5ad").read_bytes() == COUNTS
    assert sorted(in_cache(tmp_path)) == ["counts.h5ad", "labels.csv"]


def test_a_wrong_file_is_named_with_both_sums_and_removed(server, use_catalogue, tmp_path):
    use_catalogue(server.url)
    server.mood = "wrong"
    expected, got = (hashlib.sha256(content).hexdigest() for content in (COUNTS, COUNTS[::-1]))
    with pytest.raises(UserError, match=f"(?s)counts.h5ad is not the file.*{expected}.*{got}.*get cells again"):
        download.get("cells")
    assert in_cache(tmp_path) == {}


def test_a_file_of_another_size_is_removed(server, use_catalogue, tmp_path):
    use_catalogue(server.url)
    server.mood = "short"
    with pytest.raises(UserError, match=r"\(the file there has 39 bytes instead of 768,000\)"):
        download.get("cells")
    assert in_cache(tmp_path) == {}


def test_an_absent_file_says_where_else_to_get_it(server, use_catalogue, tmp_path):
    use_catalogue(server.url)
    server.mood = "absent"
    url, folder = f"{server.url}/cells/counts.h5ad", tmp_path / "cache" / "data" / "cells"
    with pytest.raises(UserError) as mistake:
        download.get("cells")
    assert str(mistake.value) == (
        f"Cannot download {url} (the server answers 404 Not Found): run bioppo data get cells again to continue, set "
        "BIOPPO_DATA_MIRROR to the file:// or https:// address of a copy, "
        f"or download {url} yourself into {folder}."
    )


def test_no_connection_is_one_reason(server, use_catalogue):
    use_catalogue("http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"\(there is no connection to 127.0.0.1\)"):
        download.get("core")


def test_reasons_are_short():
    import requests

    url = "https://example.invalid/file"
    assert reason(requests.exceptions.SSLError("long"), url) == "the certificate of example.invalid is not accepted"
    assert reason(requests.exceptions.ProxyError("long"), url) == "the proxy does not answer"
    assert reason(requests.exceptions.ReadTimeout("long"), url) == "example.invalid does not answer within 30 s"
    with pytest.raises(SourceError, match="No connection adapters"), open_remote("gs://bucket/file", 0):
        pass


def test_a_file_missing_from_the_mirror_keeps_the_rest(mirror):
    (mirror / "cells" / "counts.h5ad").unlink()
    with pytest.raises(UserError, match=r"a%20mirror/cells/counts.h5ad \(No such file or directory\)"):
        download.get("cells")


def test_a_mirror_that_is_no_address_is_refused(use_catalogue, monkeypatch):
    use_catalogue()
    monkeypatch.setenv("BIOPPO_DATA_MIRROR", "/mnt/copy")
    with pytest.raises(UserError, match="BIOPPO_DATA_MIRROR=/mnt/copy is not an address: write file:///FOLDER or"):
        download.get("core")


def test_a_file_put_there_by_hand_is_taken(use_catalogue, tmp_path):
    use_catalogue()
    folder = tmp_path / "cache" / "data" / "core"
    folder.mkdir(parents=True)
    (folder / "model.json").write_bytes(b'{"reactions": []}\n')
    assert download.find("core") == folder == download.get("core")
    (folder / "model.json").write_bytes(b"{}")
    assert download.missing("core") == ["model.json"]


def test_an_md5_is_enough(mirror, use_catalogue):
    use_catalogue(sha256=None, md5=hashlib.md5(COUNTS).hexdigest())
    download.get("cells")
    use_catalogue(sha256=None, md5="0" * 32)
    with pytest.raises(UserError, match="MD5 hash .*" + "0" * 32):
        download.get("cells")


def test_an_unknown_checksum_is_recorded_and_never_continued(mirror, use_catalogue, tmp_path):
    use_catalogue(sha256=None, bytes=None)
    folder, recorder = tmp_path / "cache" / "data" / "cells", Recorder()
    folder.mkdir(parents=True)
    (folder / "counts.h5ad.part").write_bytes(b"of an older version")
    download.get("cells", progress=recorder)
    assert recorder.begun[0] == ("cells/counts.h5ad", 0, None)
    assert (folder / "SHA256SUMS").read_text() == f"{hashlib.sha256(COUNTS).hexdigest()}  counts.h5ad\n"
    assert data_set("cells").size == "unknown"
    (folder / "counts.h5ad").write_bytes(b"damaged")
    download.get("cells")
    assert (folder / "counts.h5ad").read_bytes() == COUNTS


def test_two_processes_do_not_write_one_file(mirror, tmp_path):
    waiting = threading.Thread(target=download.get, args=("cells",))
    folder = tmp_path / "cache" / "data" / "cells"
    with download.changing(folder):
        waiting.start()
        time.sleep(0.1)
        assert in_cache(tmp_path) == {}
    waiting.join(timeout=30)
    assert download.find("cells") == folder


def test_clearing_says_what_it_freed(mirror, tmp_path):
    download.get("cells")
    download.get("core")
    assert download.clear("core") == {"core": 18}
    assert download.clear("core") == {}
    older = tmp_path / "cache" / "data" / "retired"
    older.mkdir()
    (older / "file").write_bytes(b"123")
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "file").write_bytes(b"12345")
    (tmp_path / "cache" / "data" / "core").symlink_to(shared)
    assert download.clear() == {"cells": len(COUNTS) + 21, "core": 0, "retired": 3}
    assert list((tmp_path / "cache" / "data").iterdir()) == []
    assert (shared / "file").exists()
    assert download.clear() == {}


@pytest.mark.parametrize("name", ["cell", "..", "../data", ""])
def test_only_data_sets_are_cleared(name, mirror, tmp_path):
    download.get("core")
    with pytest.raises(UserError, match="There is no data set"):
        download.clear(name)
    assert download.find("core")


def test_a_place_that_cannot_be_written_is_named(mirror, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(UserError, match=r"Cannot change .*cache.*set BIOPPO_CACHE to another folder"):
        download.get("core")


def test_a_user_without_a_home_needs_a_folder(use_catalogue, monkeypatch):
    use_catalogue()
    monkeypatch.delenv("BIOPPO_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: Path("/home/someone"))
    assert cache_directory() == Path("/home/someone/.cache/bioppo")

    def homeless():
        raise RuntimeError

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(UserError, match="There is no home directory to keep data in: set BIOPPO_CACHE to a folder"):
        download.find("core")


def test_sizes_have_three_digits():
    counts = (0, 999, 1234, 768_000, 999_900, 61_300_000_000)
    assert [size_text(count) for count in counts] == ["0 B", "999 B", "1.23 kB", "768 kB", "1 MB", "61.3 GB"]


def test_lines_tell_of_long_downloads(monkeypatch, capsys):
    progress = make_progress()
    assert isinstance(progress, LineProgress)
    with progress:
        progress.begin("cells/counts.h5ad", 1000, 4000)
        progress.advance(1000)
        monkeypatch.setattr("bioppo.datasets.progress.LINE_SECONDS", -1)
        progress.advance(1000)
    captured = capsys.readouterr()
    assert captured.err == "cells/counts.h5ad: 1 kB of 4 kB\ncells/counts.h5ad: 3 kB of 4 kB\n"
    assert captured.out == ""


def test_a_terminal_gets_bars(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = make_progress()
    assert isinstance(progress, BarProgress)
    with progress:
        progress.begin("cells/counts.h5ad", 0, 4000)
        progress.advance(4000)
    captured = capsys.readouterr()
    assert "cells/counts.h5ad" in captured.err
    assert "4.0/4.0 kB" in captured.err
    assert captured.out == ""
