"""A catalogue of two synthetic data sets, a cache of the test's own, and a server on this machine."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from bioppo.datasets import catalogue

CONTENT = {
    "cells": {"counts.h5ad": bytes(range(256)) * 3000, "labels.csv": b"cell,label\n1,control\n"},
    "core": {"model.json": b'{"reactions": []}\n'},
}


def facts(content: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


@pytest.fixture
def use_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Return a function that installs a catalogue whose files' facts can be changed."""

    def use(url: str = "https://nowhere.invalid", **changes: Any) -> dict[str, Any]:
        entries = {
            name: {
                "title": f"Synthetic {name}",
                "licence": "CC0-1.0",
                "citation": f"Nobody 2020, {name}",
                "homepage": "https://nowhere.invalid",
                "files": {file: {"url": f"{url}/{name}/{file}"} | facts(content) for file, content in files.items()},
            }
            for name, files in CONTENT.items()
        }
        entries["cells"]["files"]["counts.h5ad"] |= changes
        (tmp_path / "catalogue.yaml").write_text(yaml.safe_dump(entries, sort_keys=False))
        return entries

    monkeypatch.setattr(catalogue, "CATALOGUE", tmp_path / "catalogue.yaml")
    monkeypatch.setenv("BIOPPO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("BIOPPO_DATA_MIRROR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return use


@pytest.fixture
def mirror(tmp_path: Path, use_catalogue: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that mirrors the synthetic catalogue and is used."""
    use_catalogue()
    root = tmp_path / "a mirror"
    for name, files in CONTENT.items():
        for file, content in files.items():
            (root / name).mkdir(parents=True, exist_ok=True)
            (root / name / file).write_bytes(content)
    monkeypatch.setenv("BIOPPO_DATA_MIRROR", root.as_uri())
    return root


class Server(ThreadingHTTPServer):
    """Serves `CONTENT`; ``mood`` is how it misbehaves, ``ranges`` and ``encodings`` what was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.mood, self.ranges, self.encodings = "", [], set()
        self.url = f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    """Answers one request as the server's mood says."""

    server: Server

    def do_GET(self) -> None:
        mood, wanted = self.server.mood, self.headers.get("Range")
        self.server.ranges.append(wanted)
        self.server.encodings.add(self.headers.get("Accept-Encoding"))
        _, name, file = self.path.split("/")
        if mood == "absent":
            self.send_error(404)
            return
        content = CONTENT[name][file]
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and mood != "no ranges" else 0
        if mood == "refuses ranges" and wanted:
            self.send_error(416)
            return
        body = content[start:]
        if mood == "wrong":
            body = body[::-1]
        if mood == "short":
            body = b"version https://example.invalid/pointer"
        shift = 1 if mood == "other range" and wanted else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start + shift}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if mood == "breaks" else body)

    def log_message(self, *words: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    """Return a running server."""
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()
