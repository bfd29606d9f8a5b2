"""A hub in this process: data sets as commits of files; and a server that answers the hub's own client from it."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bench.errors import StoreError
from bench.records._hub import Contents


@dataclass
class DataSet:
    """A data set: what its files were at each commit, the newest last."""

    private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)

    @property
    def head(self) -> str:
        return next(reversed(self.commits))

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[self.head]

    def add(self, files: Mapping[str, bytes]) -> str:
        before = self.files if self.commits else {}
        commit = hashlib.sha1(f"{len(self.commits)}{sorted(files)}".encode()).hexdigest()
        self.commits[commit] = {**before, **files}
        return commit


class FakeHub:
    """A hub, as `bench.records._hub.Hub` asks one.

    Args:
        cache: folder of what was fetched.
    """

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.sets: dict[str, DataSet] = {}
        self.fetched: list[str] = []

    def contents(self, repo: str, revision: str | None = None) -> Contents | None:
        kept = self.sets.get(repo)
        if kept is None:
            return None
        commit = revision or kept.head
        return Contents(commit, frozenset(kept.commits[commit]), kept.private)

    def file(self, repo: str, path: str, commit: str, *, anew: bool = False) -> Path:
        place = self.cache / repo / commit / path
        if anew or not place.exists():
            self.fetched.append(path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(self.sets[repo].commits[commit][path])
        return place

    def make(self, repo: str, *, private: bool) -> None:
        self.sets.setdefault(repo, DataSet(private)).add({".gitattributes": b""})

    def commit(self, repo: str, files: Mapping[str, bytes | Path], message: str, parent: str) -> str:
        if parent != self.sets[repo].head:
            raise StoreError("somebody else wrote to it")
        return self.sets[repo].add(
            {name: c if isinstance(c, bytes) else c.read_bytes() for name, c in files.items()}
        )


class _Handler(BaseHTTPRequestHandler):
    """Answers what huggingface_hub asks for a data set, from a `FakeHub`; it knows the token ``good`` alone."""

    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def answer_json(self, value: object) -> None:
        self.answer(200, json.dumps(value).encode(), Content_Type="application/json")

    def missing(self, code: str) -> None:
        self.answer(404, X_Error_Code=code, X_Error_Message=f"{code} here")

    def may_write(self) -> bool:
        return self.headers.get("Authorization") == "Bearer good"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = urllib.parse.unquote(self.path.partition("?")[0]).strip("/").split("/")
        repo, rest = (
            "/".join(parts[2:4] if parts[0] == "api" else parts[1:3]),
            parts[4 if parts[0] == "api" else 3 :],
        )
        kept = self.hub.sets.get(repo)
        if kept is None or (kept.private and not self.may_write()):
            self.missing("RepoNotFound")
            return
        revision = rest[1] if len(rest) > 1 else "main"
        commit = kept.head if revision == "main" else revision
        if commit not in kept.commits:
            self.missing("RevisionNotFound")
        elif parts[0] == "api":
            siblings = [{"rfilename": name} for name in kept.commits[commit]]
            self.answer_json(
                {"id": repo, "sha": commit, "private": kept.private, "siblings": siblings, "tags": []}
            )
        elif (content := kept.commits[commit].get("/".join(rest[2:]))) is None:
            self.missing("EntryNotFound")
        else:
            etag = f'"{hashlib.sha1(content).hexdigest()}"'
            self.answer(200, content, ETag=etag, X_Repo_Commit=commit)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = self.path.partition("?")[0].strip("/").split("/")
        if not self.may_write():
            self.answer(401, b'{"error": "Invalid credentials"}', Content_Type="application/json")
        elif parts == ["api", "repos", "create"]:
            asked = json.loads(body)
            repo = "/".join(filter(None, [asked.get("organization"), asked["name"]]))
            private = asked.get(
                "private", asked.get("visibility") == "private"
            )  # as older clients say it, and newer ones
            self.hub.make(repo, private=private)
            self.answer_json({"url": f"http://{self.headers['Host']}/datasets/{repo}"})
        elif parts[4] == "preupload":
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                for f in json.loads(body)["files"]
            ]
            self.answer_json({"files": files})
        else:
            self.do_commit("/".join(parts[2:4]), [json.loads(line) for line in body.splitlines()])

    def do_commit(self, repo: str, lines: list[dict[str, Any]]) -> None:
        header, *entries = lines
        if header["value"].get("parentCommit") != self.hub.sets[repo].head:
            self.answer(412, b'{"error": "the branch has moved"}', Content_Type="application/json")
            return
        files = {
            e["value"]["path"]: base64.b64decode(e["value"]["content"]) for e in entries if e["key"] == "file"
        }
        commit = self.hub.sets[repo].add(files)
        url = f"http://{self.headers['Host']}/datasets/{repo}/commit/{commit}"
        self.answer_json({"success": True, "commitUrl": url, "commitOid": commit, "hookOutput": ""})


@contextmanager
def serving(hub: FakeHub) -> Iterator[str]:
    """Serve a hub on this machine alone, and yield its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
