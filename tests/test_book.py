"""The built book as its readers meet it: every page, in a real browser."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    Page,
    Playwright,
    Response,
    expect,
    sync_playwright,
)

from theme.build import build
from theme.check import addresses
from theme.katex import formula, style_sheet
from theme.pages import HERE
from theme.tree import walk

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[1]
AXE = HERE / "node_modules" / "axe-core" / "axe.min.js"
STORED = ROOT / "tests" / "addresses.txt"
# For a machine that is busy with something else; milliseconds.
PATIENCE = 120_000
DESKTOP, PHONE = (1280, 800), (390, 844)
# One with all that a page can have; it refers to another.
CHAPTER = "matching.html"
REFERENCE = "main a.reference[href*='.html']"
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROKEN_PICTURES = """async () => {
  const broken = [];
  for (const image of document.images) {
    image.loading = "eager";
    await image.decode().catch(() => broken.push(image.src));
  }
  return broken;
}"""
# Level A and AA of WCAG 2.0 and 2.1, and nothing left out.
VIOLATIONS = """async () => {
  const rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"];
  const { violations } = await axe.run({ runOnly: rules, resultTypes: ["violations"] });
  return violations.map(({ help, nodes }) => `${help}: ${nodes[0].html}`);
}"""
# What is folded counts too; of the source in the reference of the code, which is
# hundreds of folds that are alike, the first.
UNFOLD = """() => {
  for (const fold of document.querySelectorAll("details:not(.source-fold)")) {
    fold.open = true;
  }
  const source = document.querySelector(".source-fold");
  if (source) source.open = true;
}"""
# Formulas are most of a page's elements. What reads aloud gets their MathML; what the
# eye sees becomes one element of the same words and colour, to save axe minutes.
FLATTEN = """() => {
  for (const seen of document.querySelectorAll(".katex-html")) {
    seen.textContent = seen.textContent;
  }
}"""
WATCH_SHIFTS = """window.shift = 0;
new PerformanceObserver(list => {
  for (const entry of list.getEntries()) shift += entry.value;
}).observe({ type: "layout-shift", buffered: true });"""
# All that a first visit loads, uncompressed, but the figures.
HEAVIEST_PAGE = 300_000
# Of each formula, every letter that is drawn, with its place beside the first of them.
LETTERS = """() => [...document.querySelectorAll(".katex-html")].map(formula => {
  const letters = [];
  const texts = document.createTreeWalker(formula, NodeFilter.SHOW_TEXT);
  for (let text; text = texts.nextNode();) {
    for (let i = 0; i < text.length; i++) {
      const range = document.createRange();
      range.setStart(text, i);
      range.setEnd(text, i + 1);
      const { x, y, width } = range.getBoundingClientRect();
      if (width) letters.push([text.data[i], x, y, width]);
    }
  }
  const [, left, top] = letters[0];
  return letters.map(([letter, x, y, width]) => [letter, x - left, y - top, width]);
})"""
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
    server.server_close()


def pages(book: Path) -> list[str]:
    found = sorted(file.name for file in book.glob("*.html"))
    assert "index.html" in found
    return found


def test_addresses_stay(book: Path) -> None:
    """Readers keep links. Where one has gone, bring it back (label the new heading)."""
    now, stored = set(addresses(book)), set(STORED.read_text("utf-8").splitlines())
    remedy = "If that is meant: .venv/bin/python -m theme addresses"
    assert (sorted(stored - now), sorted(now - stored)) == ([], []), remedy


def test_a_number_names_one_thing_in_the_book_and_leads_to_it(book: Path) -> None:
    seen: dict[str, str] = {}
    for name in pages(book):
        text = (book / name).read_text("utf-8")
        for anchor, number in re.findall(
            r'<a class="(?:number|label)" href="#([^"]+)">([^<]+)</a>', text
        ):
            assert seen.setdefault(number, anchor) == anchor, (name, number)
    kinds = {number.split()[0].split("(")[0] for number in seen}
    assert {"", "Figure", "Table", "Exercise"} <= kinds


def test_formulas_are_where_katex_has_set_every_letter(
    browser: Browser, book: Path
) -> None:
    """With its marks, rules and fonts cut to what the book uses, and without."""
    content = (book.parent / "site" / "content").glob("*.json")
    trees = [json.loads(file.read_text("utf-8"))["mdast"] for file in content]
    whole = [n["html"] for tree in trees for n in walk(tree) if n.get("html")]
    whole = [html for html in dict.fromkeys(whole) if 'class="katex' in html]
    assert len(whole) > 100
    places = []
    for formulas, pages in ((whole, None), (list(map(formula, whole)), whole)):
        style = style_sheet(pages and map(formula, pages))
        page = browser.new_page()
        page.set_content(f"<style>{style}</style><p>" + "<p>".join(formulas))
        page.evaluate("Promise.all([...document.fonts].map(font => font.load()))")
        places.append(page.evaluate(LETTERS))
        page.close()
    assert len(places[0]) == len(whole)
    for html, expected, found in zip(whole, *places, strict=True):
        assert [letter for letter, *_ in found] == [letter for letter, *_ in expected]
        for (letter, *right), (_, *here) in zip(expected, found, strict=True):
            assert here == pytest.approx(right, abs=0.5), (letter, html)


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
        broken = page.evaluate(BROKEN_PICTURES)
        assert (name, broken, complaints) == (name, [], [])


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing_and_nothing_sticks_out(
    size: tuple[int, int], dark: bool, browser: Browser, book: Path
) -> None:
    page = opened(browser, f"{book.as_uri()}/index.html", size=size, dark=dark)
    for name in pages(book):
        page.goto(f"{book.as_uri()}/{name}")
        page.evaluate(UNFOLD)
        overflow = page.evaluate(
            "(e => e.scrollWidth - e.clientWidth)(document.documentElement)"
        )
        assert overflow <= 0, f"{name} is {overflow} px wider than its window"
        page.evaluate(FLATTEN)
        page.add_script_tag(path=AXE)
        assert (name, page.evaluate(VIOLATIONS)) == (name, [])
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


def test_what_opens_over_a_page_is_as_accessible_as_the_page(
    browser: Browser, book: Path
) -> None:
    page = opened(browser, f"{book.as_uri()}/{CHAPTER}", dark=True)
    page.add_script_tag(path=AXE)
    page.locator(REFERENCE).first.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    page.wait_for_selector("#preview:popover-open")
    assert page.evaluate(VIOLATIONS) == []
    page.keyboard.press("/")
    page.keyboard.type("the")
    page.wait_for_selector("dialog li")
    assert page.evaluate(VIOLATIONS) == []


# From a page: words of its second paragraph, the source of a formula, a piece of code.
QUERIES = {
    "prose": "[...document.querySelectorAll('article > p')].at(1).textContent",
    "mathematics": "document.querySelector('.equation annotation').textContent",
    "code": "document.querySelector('pre.code').textContent",
}


@pytest.mark.parametrize("scheme", ["file", "http"])
def test_search_finds_prose_mathematics_and_code(
    scheme: str, browser: Browser, book: Path, served: str
) -> None:
    origin = book.as_uri() if scheme == "file" else served
    page = opened(browser, f"{origin}/objective.html", size=PHONE)
    for kind, place in QUERIES.items():
        page.goto(f"{origin}/objective.html")
        query = " ".join(page.evaluate(place).split())[:30].strip()
        page.get_by_role("button", name="Search").click()
        page.keyboard.insert_text(query)
        result = page.locator("dialog li a[href^='objective.html']").first
        result.wait_for()
        assert page.locator("dialog mark").count(), kind
        result.click()
        assert not page.locator("dialog").is_visible()


def test_search_needs_no_pointer(browser: Browser, book: Path) -> None:
    page = opened(browser, f"{book.as_uri()}/index.html")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.type") == "search"
    page.keyboard.type("task")
    page.wait_for_selector("dialog li")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    second = page.locator("dialog li a").nth(1)
    assert second.evaluate("link => link === document.activeElement")
    page.keyboard.press("Escape")
    assert not page.locator("dialog").is_visible()
    page.keyboard.press("/")
    page.keyboard.type("zzzz no such words")
    assert page.locator("dialog [role=status]").inner_text() == "0 sections"


@pytest.mark.parametrize("scheme", ["file", "http"])
def test_a_link_into_the_book_shows_where_it_leads(
    scheme: str, browser: Browser, book: Path, served: str
) -> None:
    origin = book.as_uri() if scheme == "file" else served
    page = opened(browser, f"{origin}/{CHAPTER}")
    preview = page.locator("#preview")
    for kind in (REFERENCE, "main a.citation", "main a.reference[href^='#']"):
        page.locator(kind).first.hover()
        preview.wait_for(state="visible")
        assert preview.inner_text().strip() or preview.locator("img").count()
        page.keyboard.press("Escape")
        preview.wait_for(state="hidden")
    link = page.locator("main a.citation").first
    link.scroll_into_view_if_needed()
    page.wait_for_timeout(100)  # that scrolling, which puts previews away, has ended
    link.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    preview.wait_for(state="visible")
    assert link.get_attribute("aria-describedby") == "preview"
    page.keyboard.press("Tab")
    expect(link).not_to_have_attribute("aria-describedby", "preview")


def test_the_outline_follows_the_reader(browser: Browser, book: Path) -> None:
    page = opened(browser, f"{book.as_uri()}/{CHAPTER}", size=(1440, 900))
    links = page.locator(".outline a")
    for place in (0, links.count() // 2, links.count() - 1):
        links.nth(place).click()
        page.wait_for_function(
            "i => document.querySelectorAll('.outline a')[i].ariaCurrent", arg=place
        )
    assert page.locator(".outline [aria-current]").count() == 1


def test_a_phone_has_the_outline_under_a_button(browser: Browser, book: Path) -> None:
    page = opened(browser, f"{book.as_uri()}/{CHAPTER}", size=PHONE)
    page.get_by_role("button", name="On this page").click()
    outline = page.get_by_role("navigation", name="On this page")
    outline.get_by_role("link").last.click()
    assert urlsplit(page.url).fragment
    assert not outline.is_visible()


def test_copying_takes_the_code_and_nothing_else(browser: Browser, book: Path) -> None:
    page = opened(browser, f"{book.as_uri()}/{CHAPTER}")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    source = page.locator(".source:visible").first
    source.hover()
    source.get_by_role("button", name="Copy").click()
    page.get_by_text("Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == source.locator("code").text_content()


def test_the_keyboard_sees_where_it_is_and_reaches_all_that_scrolls(
    browser: Browser, book: Path
) -> None:
    page = opened(browser, f"{book.as_uri()}/{CHAPTER}", size=PHONE)
    for _ in range(25):
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", page.evaluate("document.activeElement.outerHTML")
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    page.wait_for_timeout(200)  # for the observer of sizes
    nameless = page.evaluate(
        """[...document.querySelectorAll("main *")].filter(part =>
          ["auto", "scroll"].includes(getComputedStyle(part).overflowX)
          && part.scrollWidth > part.clientWidth
          && !(part.tabIndex === 0 && part.ariaLabel && part.role)
        ).map(part => part.outerHTML.slice(0, 80))"""
    )
    assert nameless == []


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_pages_are_light_and_do_not_jump(
    size: tuple[int, int], browser: Browser, served: str, book: Path
) -> None:
    for name in pages(book):
        # A context of its own, in which nothing has been loaded yet.
        page = opened(browser, "about:blank", size=size)
        page.add_init_script(WATCH_SHIFTS)
        loaded: list[Response] = []
        page.on("response", partial(loaded.append))
        page.goto(f"{served}/{name}", wait_until="load")
        end = page.evaluate("document.documentElement.scrollHeight")
        for _ in range(0, end, 2000):
            page.mouse.wheel(0, 2000)
            page.wait_for_timeout(30)
        page.evaluate("document.fonts.ready")
        assert (name, page.evaluate("shift")) == (name, 0)
        kinds = ("document", "stylesheet", "script", "font")
        weight = sum(
            len(re.sub(rb'src="data:[^"]*"', b"", response.body()))
            for response in loaded
            if response.request.resource_type in kinds
        )
        assert weight < HEAVIEST_PAGE, (name, weight)
        page.context.close()


def test_paper_shows_what_is_folded_and_none_of_the_buttons(
    browser: Browser, book: Path
) -> None:
    page = opened(browser, f"{book.as_uri()}/{CHAPTER}", dark=True)
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    for part in (".bar", ".contents", ".outline", ".copy", ".more", ".turn"):
        for found in page.locator(part).all():
            assert not found.is_visible(), part
    paper = page.evaluate("getComputedStyle(document.querySelector('article')).color")
    assert paper == "rgb(31, 33, 36)"
