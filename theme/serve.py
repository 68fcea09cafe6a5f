"""`python -m theme serve`: what `myst start` calls for a live preview."""

from __future__ import annotations

import mimetypes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from theme.content import Fetch, Site
from theme.errors import BookError
from theme.pages import Book
from theme.render import DATA, assets, project_root

PLAIN = "text/plain; charset=utf-8"


def serve(fetch: Fetch, host: str, port: int, reload_from: str) -> None:
    """Serve the book until interrupted. Each request reads the trees afresh."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            try:
                status, mime, body = respond(fetch, path, reload_from)
            except BookError as error:
                status, mime, body = (
                    500,
                    PLAIN,
                    str(error).encode(),
                )
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


def respond(fetch: Fetch, path: str, reload_from: str) -> tuple[int, str, bytes]:
    """Status, type and body for a path of the book."""
    book = Book(Site(fetch, project_root()))
    mime = mimetypes.guess_type(path)[0] or "application/octet-stream"
    if path.startswith("/static/"):
        name = path.removeprefix("/static/")
        found = (
            DATA[name](book).encode()
            if name in DATA
            else next((content for asset, content in assets() if asset == name), None)
        )
        if found is not None:
            return 200, mime, found
    elif path.startswith("/files/"):
        return 200, mime, fetch("/" + path.removeprefix("/files/"))
    else:
        slug = path.strip("/").removesuffix(".html") or "index"
        slug = book.slugs[0] if slug == "index" else slug
        if slug in book.slugs:
            page = book.html(slug, reload_from=reload_from)
            return 200, "text/html; charset=utf-8", page.encode()
    return 404, PLAIN, f"There is no {path} here.".encode()
