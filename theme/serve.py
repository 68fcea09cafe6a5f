"""`python -m theme serve`: what `myst start` calls for a live preview."""

from __future__ import annotations

import mimetypes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from theme.content import Fetch
from theme.pages import Pages
from theme.render import DATA, assets

PLAIN = "text/plain; charset=utf-8"
PAGE = "text/html; charset=utf-8"
FAULTS = "faults.txt"
"""All that a build would refuse, which takes as long as to make the whole book."""


def serve(fetch: Fetch, root: Path, host: str, port: int, reload_from: str) -> None:
    """Serve the book until interrupted. Each page is read afresh."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(self.path.split("?")[0])
            try:
                status, mime, body = respond(fetch, root, path, reload_from)
            except Exception as error:
                said = f"The book cannot be shown. {error or type(error).__name__}"
                status, mime, body = 500, PLAIN, said.encode()
            self.send_response(status)
            self.send_header("Content-Type", mime)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """mystmd's own lines are enough."""

    server = ThreadingHTTPServer((host, port), Handler)
    # mystmd waits for this line.
    print(f"Serving the book at http://{host}:{port}", flush=True)
    server.serve_forever()


def respond(
    fetch: Fetch, root: Path, path: str, reload_from: str
) -> tuple[int, str, bytes]:
    """Status, type and body for a path of the book."""
    mime = mimetypes.guess_type(path)[0] or "application/octet-stream"
    folder, _, name = path.removeprefix("/").partition("/")
    if folder == "files":
        return 200, mime, fetch(f"/{name}")
    if folder == "static" and name in DATA:
        return 200, mime, DATA[name](Pages(fetch, root)).encode()
    if folder == "static":
        found = next((content for asset, content in assets() if asset == name), None)
        if found is not None:
            return 200, mime, found
    elif not name:
        pages = Pages(fetch, root)
        if folder == FAULTS:
            for slug in pages.slugs:
                pages.sheet(slug)
            return 200, PLAIN, "\n\n".join(pages.faults or ["None."]).encode()
        slug = folder.removesuffix(".html") or "index"
        slug = pages.slugs[0] if slug == "index" else slug
        if slug in pages.slugs:
            return 200, PAGE, pages.html(slug, reload_from=reload_from).encode()
    return 404, PLAIN, f"There is no {path} here.".encode()
