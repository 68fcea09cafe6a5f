"""Build the book; keep the list of its addresses.

python -m theme build       build and check the book in _build/html
python -m theme addresses   store the addresses of the built book for the tests

`serve` is for mystmd (see template.yml).
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from theme.build import build
from theme.check import addresses
from theme.content import content_server
from theme.errors import BookError
from theme.serve import serve

ADDRESSES = Path("tests") / "addresses.txt"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m theme", description=__doc__)
    parser.add_argument("command", choices=["build", "addresses", "serve"])
    command = parser.parse_args().command
    try:
        if command == "build":
            print(build(Path.cwd()))
        elif command == "addresses":
            found = addresses(Path.cwd() / "_build" / "html")
            ADDRESSES.write_text("\n".join(found) + "\n", "utf-8")
        else:
            host, port = os.environ["HOST"], int(os.environ["PORT"])
            address = f"{host}:{os.environ['CONTENT_CDN_PORT']}"
            fetch = content_server(f"http://{address}")
            serve(fetch, Path.cwd(), host, port, f"ws://{address}/socket")
    except BookError as error:
        sys.exit(f"The book cannot be built:\n  {error}")
    except OSError as error:
        sys.exit(f"The book cannot be built: {error}.")


if __name__ == "__main__":
    main()
