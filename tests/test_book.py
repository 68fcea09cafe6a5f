"""The built book as its readers meet it: every page, in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from theme.build import build
from theme.pages import HERE

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[1]
AXE = HERE / "node_modules" / "axe-core" / "axe.min.js"
# For a machine that is busy with something else; milliseconds.
PATIENCE = 120_000
DESKTOP, PHONE = (1280, 800), (390, 844)
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
QUIETLY = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def book() -> Path:
    """The folder of the book, built from the chapters as they are now."""
    return build(ROOT).parent


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("No Chromium or Chrome is installed: the pages were not opened.")
    browser = playwright.chromium.launch(executable_path=found, args=QUIETLY)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def served(book: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(book)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def pages(book: Path) -> list[str]:
    found = sorted(file.name for file in book.glob("*.html"))
    assert "index.html" in found
    return found


def opened(
    browser: Browser,
    address: str,
    *,
    size: tuple[int, int] = DESKTOP,
    dark: bool = False,
) -> Page:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    page.evaluate("document.fonts.ready")
    return page


@pytest.mark.parametrize("scheme", ["file", "http"])
def test_every_page_loads_without_a_complaint_and_without_leaving_the_book(
    scheme: str, browser: Browser, book: Path, served: str
) -> None:
    origin = book.as_uri() if scheme == "file" else served
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    complaints: list[str] = []
    page.on(
        "console",
        lambda said: (
            complaints.append(said.text) if said.type in ("error", "warning") else None
        ),
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(f"lost {request.url}"))
    page.on(
        "request",
        lambda request: (
            complaints.append(f"outside: {request.url}")
            if not request.url.startswith((origin, "data:"))
            else None
        ),
    )
    page.on(
        "response",
        lambda response: (
            complaints.append(f"{response.status} {response.url}")
            if response.status >= 400
            else None
        ),
    )
    for name in pages(book):
        page.goto(f"{origin}/{name}")
        page.evaluate("document.fonts.ready")
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        assert page.title()
        broken = page.evaluate(
            "[...document.images].filter(i => !i.naturalWidth).map(i => i.src)"
        )
        assert (name, broken, complaints) == (name, [], [])


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing_and_nothing_sticks_out(
    size: tuple[int, int], dark: bool, browser: Browser, book: Path
) -> None:
    for name in pages(book):
        page = opened(browser, f"{book.as_uri()}/{name}", size=size, dark=dark)
        # What is folded counts too.
        page.evaluate(
            "for (const d of document.querySelectorAll('details')) d.open = 1"
        )
        overflow = page.evaluate(
            "(e => e.scrollWidth - e.clientWidth)(document.documentElement)"
        )
        overflow = page.evaluate(
            "(e => e.scrollWidth - e.clientWidth)(document.documentElement)"
        )
        assert overflow <= 0, f"{name} is {overflow} px wider than its window"
        page.add_script_tag(path=AXE)
        violations = page.evaluate("axe.run().then(found => found.violations)")
        assert [
            f"{name}: {found['help']}: {found['nodes'][0]['html']}"
            for found in violations
            if found["impact"] in ("serious", "critical")
        ] == []
        page.context.close()


def test_the_colour_theme_is_chosen_by_a_button_and_remembered(
    browser: Browser, served: str
) -> None:
    page = opened(browser, f"{served}/index.html")

    def background() -> str:
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    light = background()
    page.get_by_role("button", name="Change to the dark colour theme").click()
    dark = background()
    page.reload()
    assert light != dark
    assert background() == dark


def test_a_phone_opens_the_contents_with_a_button(
    browser: Browser, served: str
) -> None:
    page = opened(browser, f"{served}/index.html", size=PHONE)
    contents = page.get_by_role("navigation", name="Contents")
    assert not contents.is_visible()
    page.get_by_role("button", name="Contents").click()
    assert contents.is_visible()
    page.keyboard.press("Escape")
    assert not contents.is_visible()


def test_the_keyboard_reaches_the_text_first(browser: Browser, served: str) -> None:
    page = opened(browser, f"{served}/index.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the text"
    page.keyboard.press("Enter")
    assert urlsplit(page.url).fragment == "text"
    assert page.evaluate("document.activeElement.id") == "text"
