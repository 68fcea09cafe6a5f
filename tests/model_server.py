"""A server of language models for tests: it reverses words, or does as it is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from time import sleep  # before a test makes it pass at once
from typing import Any

KEY = "sk-Very/Secret+123"


@dataclass
class Act:
    """What the server does with one request.

    length: claimed of the body, where it is not the true one.
    stall: seconds before each byte of the body.
    drop: close the connection without a word.
    """

    status: int = 200
    body: str | bytes | dict[str, Any] = ""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    stall: float = 0.0
    drop: bool = False


def answered(content: Any, reason: Any = "stop", **more: Any) -> Act:
    """A reply in the form of chat/completions."""
    message = {"role": "assistant", "content": content, **more}
    return Act(body={"choices": [{"message": message, "finish_reason": reason}]})


class ModelServer(ThreadingHTTPServer):
    """acts: what to do first, one a request, before answering well.

    requests: what came: the fields of the body, the path and the headers.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.acts: list[Act] = []
        self.requests: list[dict[str, Any]] = []
        self.address = f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, *_: object) -> None:
        """A client that goes away is no error here."""

    def act(self, request: dict[str, Any]) -> Act:
        self.requests.append(request)
        if self.acts:
            return self.acts.pop(0)
        key = request["headers"].get("Authorization")
        if key not in (None, f"Bearer {KEY}"):
            return Act(401, {"error": f"wrong key {key}"})
        if request["model"] != "reverser":
            return Act(404, {"error": {"message": "model not found"}})
        if request["path"] == "/v1/completions":
            query = request["prompt"].split("\n")[-2].removeprefix("Input: ")
            choice: dict[str, Any] = {"text": f" {_reversed(query)}"}
        else:
            query = request["messages"][-1]["content"].split("\n")[-1]
            choice = {"message": {"content": f" {_reversed(query)}\n"}}
        return Act(body={"choices": [{**choice, "finish_reason": "stop"}]})


class _Handler(BaseHTTPRequestHandler):
    server: ModelServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = dict(self.headers.items())
        act = self.server.act({**body, "path": self.path, "headers": headers})
        if act.drop:
            return
        data = json.dumps(act.body) if isinstance(act.body, dict) else act.body
        data = data.encode() if isinstance(data, str) else data
        self.send_response(act.status)
        for name, value in act.headers.items():
            self.send_header(name, value)
        length = len(data) if act.length is None else act.length
        self.send_header("Content-Length", str(length))
        self.end_headers()
        step = 1 if act.stall else len(data) or 1
        for start in range(0, len(data), step):
            sleep(act.stall)
            self.wfile.write(data[start : start + step])

    def log_message(self, format: str, *args: object) -> None:
        pass


def _reversed(query: str) -> str:
    return " ".join(reversed(query.upper().split()))


@contextmanager
def running() -> Iterator[ModelServer]:
    server = ModelServer()
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
