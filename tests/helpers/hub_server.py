"""A hub in miniature on 127.0.0.1: the few endpoints by which huggingface_hub finds and downloads files."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

Files = dict[str, bytes]


@dataclass
class Hub:
    """repositories: "datasets/owner/name" or "models/owner/name" -> commit -> files; the last commit is `main`."""

    url: str = ""
    repositories: dict[str, dict[str, Files]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    licences: dict[str, str | list[str]] = field(default_factory=dict)  # key -> what the card states
    cut_after: int | None = None  # bytes of a file after which the connection breaks
    requests: list[str] = field(default_factory=list)  # METHOD path
    authorizations: set[str] = field(default_factory=set)

    def commit(self, key: str, files: Files) -> str:
        """A new state of a repository; returns its commit."""
        commits = self.repositories.setdefault(key, {})
        commit = hashlib.sha1(f"{key} {len(commits)}".encode()).hexdigest()
        commits[commit] = files
        return commit


@contextmanager
def serve() -> Iterator[Hub]:
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.answer()

        def answer(self) -> None:
            path = unquote(urlsplit(self.path).path).strip("/")
            hub.requests.append(f"{self.command} {path}")
            hub.authorizations.add(self.headers.get("Authorization", ""))
            api = path.startswith("api/")
            parts = path.removeprefix("api/").split("/")
            if parts[0] not in ("datasets", "models"):
                parts = ["models", *parts]  # the address of a model's file has no kind
            key, rest = "/".join(parts[:3]), parts[3:]
            if key not in hub.repositories:
                return self.refuse(404, "RepoNotFound")
            if key in hub.gated:
                return self.refuse(401, "GatedRepo")
            commits = hub.repositories[key]
            revision = rest[1] if len(rest) > 1 else "main"
            commit = list(commits)[-1] if revision == "main" else revision
            if commit not in commits:
                return self.refuse(404, "RevisionNotFound")
            if api:
                return self.describe(key, commit, commits[commit], tree=rest[:1] == ["tree"])
            name = "/".join(rest[2:])
            if name not in commits[commit]:
                return self.refuse(404, "EntryNotFound")
            return self.send_file(commit, commits[commit][name])

        def describe(self, key: str, commit: str, files: Files, tree: bool) -> None:
            found = []
            for name, content in files.items():
                lfs = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
                found.append({"type": "file", "path": name, "oid": _blob(content), "size": len(content), "lfs": lfs})
            if tree:
                return self.send_json(found)
            siblings = [
                {
                    "rfilename": item["path"],
                    "size": item["size"],
                    "blobId": item["oid"],
                    "lfs": item["lfs"] | {"sha256": item["lfs"]["oid"]},
                }
                for item in found
            ]
            card = {"cardData": {"license": hub.licences[key]}} if key in hub.licences else {}
            return self.send_json({"id": key.partition("/")[2], "sha": commit, "siblings": siblings} | card)

        def send_json(self, value: object) -> None:
            body = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def send_file(self, commit: str, content: bytes) -> None:
            start = 0
            if asked := self.headers.get("Range"):
                start = int(asked.removeprefix("bytes=").partition("-")[0])
            self.send_response(206 if asked else 200)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", commit)
            self.send_header("Content-Length", str(len(content) - start))
            if asked:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            if self.command == "HEAD":
                return
            if hub.cut_after is not None and len(content) - start > hub.cut_after:
                self.wfile.write(content[start : start + hub.cut_after])
                self.wfile.flush()
                self.close_connection = True
                return
            self.wfile.write(content[start:])

        def refuse(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

    return Handler


def _blob(content: bytes) -> str:
    """The name that git gives a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
