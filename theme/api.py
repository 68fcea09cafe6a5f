"""The reference of the code: a page for each folder of labkit, from its docstrings.

griffe reads the source without running it. An entry has the signature as it stands in
the file, the docstring, where the book uses it, its symbols, and its source in a fold.
"""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from pathlib import Path
from textwrap import dedent

import griffe
from markupsafe import Markup

from theme.book import Book
from theme.code import highlighted
from theme.docstrings import explained, summary
from theme.html import element, joined
from theme.notation import symbol_link
from theme.sheet import Sheet
from theme.tree import walk

PACKAGE = "labkit"
Documented = griffe.Class | griffe.Function


def titles(root: Path) -> dict[str, str]:
    """Title by slug of the pages of the reference; none in a project without labkit."""
    package = _package(root)
    if package is None:
        return {}
    return {_slug(module): _folder(module) for module in _modules(package)}


def names(root: Path) -> dict[str, str]:
    """Where each public name is explained, as href, by its full and its short name.

    A short name that two modules use explains nothing.
    """
    package = _package(root)
    if package is None:
        return {}
    full = {
        entry.path: f"{_slug(module)}.html#{entry.path}"
        for module in _modules(package)
        for entry in [module, *_entries(module)]
    }
    short: dict[str, list[str]] = {}
    for path, href in full.items():
        short.setdefault(path.rpartition(".")[2], []).append(href)
    unique = {name: found[0] for name, found in short.items() if len(found) == 1}
    return unique | full


def reference(book: Book, title: str) -> Sheet:
    """The page of all modules in one folder."""
    package = _package(book.site.root)
    assert package is not None, "titles() offers no page without a package"
    modules = [m for m in _modules(package) if title == _folder(m)]
    body, outline = Markup(""), []
    uses = _uses(book)
    for module in modules:
        heading = element("code", _breakable(module.path))
        if module.path != title:  # which is above the page already
            name = module.path.removeprefix(f"{title}.")
            outline.append((2, module.path, _breakable(name)))
        body += element("h2", heading, id=module.path)
        body += explained(book.site, module)
        for entry in _entries(module):
            outline.append((3, entry.path, _breakable(entry.name)))
            body += _entry(book, entry, uses.get(entry.path, []))
    description = summary(modules[0])
    return Sheet(title, body, description, outline)


@lru_cache(maxsize=1)
def _read(root: Path, newest: float) -> griffe.Module:
    loaded = griffe.load(
        PACKAGE, search_paths=[root], allow_inspection=False, try_relative_path=False
    )
    assert isinstance(loaded, griffe.Module)
    return loaded


def _package(root: Path) -> griffe.Module | None:
    """labkit as it is now; `myst start` asks again and again."""
    files = list((root / PACKAGE).rglob("*.py"))
    return _read(root, max(f.stat().st_mtime for f in files)) if files else None


def _modules(module: griffe.Module) -> list[griffe.Module]:
    """The module and all below it that are not private."""
    inner = [
        below
        for name, below in sorted(module.modules.items())
        if not name.startswith("_") and not below.is_alias  # it lives elsewhere
    ]
    return [module, *(found for below in inner for found in _modules(below))]


def _folder(module: griffe.Module) -> str:
    """Whose page explains the module: that of its folder."""
    return module.path if module.is_init_module else module.path.rpartition(".")[0]


def _slug(module: griffe.Module) -> str:
    return _folder(module).replace(".", "-")


def _entries(module: griffe.Module) -> list[Documented]:
    """What a module defines, in its order, without what it keeps to itself."""
    return [
        member
        for member in module.members.values()
        if isinstance(member, griffe.Class | griffe.Function) and member.is_public
    ]


def _uses(book: Book) -> dict[str, list[str]]:
    """For each full name, the slugs of the pages whose code imports it, in order."""
    found: dict[str, list[str]] = {}
    for slug, page in book.pages.items():
        code = [
            node.get("value", "")
            for node in walk(page.content["mdast"])
            if node["type"] == "code"
        ]
        imported = re.findall(
            rf"^from ({PACKAGE}[\w.]*) import \(?([\w, \n]+)", "\n".join(code), re.M
        )
        for module, list_ in imported:
            for name in re.findall(r"\w+", list_):
                slugs = found.setdefault(f"{module}.{name}", [])
                if slug not in slugs:
                    slugs.append(slug)
    return found


def _entry(book: Book, entry: Documented, uses: list[str]) -> Markup:
    source = dedent(entry.source)
    content = element("h3", element("code", _breakable(entry.name)), id=entry.path)
    content += highlighted(_signature(source), "python")
    content += explained(book.site, entry)
    if isinstance(entry, griffe.Class):
        methods = [m for m in entry.functions.values() if m.is_public and m.docstring]
        content += element(
            "dl",
            joined(
                element("dt", highlighted(_signature(dedent(m.source)), "python"))
                + element("dd", explained(book.site, m))
                for m in methods
            ),
        )
    href = f"{_slug(entry.module)}.html#{entry.path}"
    known = [symbol for symbol in book.symbols if href in symbol.code]
    if known:
        links = [symbol_link(symbol) for symbol in known]
        content += element("p", "Symbol: " + joined(links, ", "), class_="wiring")
    if uses:
        links = [
            element("a", book.site.titles[slug], href=book.site.href(f"/{slug}"))
            for slug in uses
        ]
        content += element("p", "Used in: " + joined(links, ", "), class_="wiring")
    return content + _source(book, entry, source)


def _source(book: Book, entry: Documented, source: str) -> Markup:
    """What comes after the docstring, numbered as in the file."""
    path = entry.relative_package_filepath.as_posix()
    first, last = entry.lineno or 1, entry.endlineno or 1
    end = (entry.docstring.endlineno if entry.docstring else None) or first - 1
    body = dedent("\n".join(source.splitlines()[end - first + 1 :])).strip("\n")
    where, found = f"{path}, lines {first}–{last}", Markup("")
    if body:
        listing = highlighted(body, "python", number_from=last - body.count("\n"))
        fold = element("summary", where) + listing
        found += element("details", fold, class_="folded source-fold")
    if book.repository:
        href = f"{book.repository}/blob/HEAD/{path}#L{first}-L{last}"
        found += element("p", element("a", f"{where}, on GitHub", href=href))
    return found


def _signature(source: str) -> str:
    """The head of a definition as the file has it; of a class, its fields too."""
    node = ast.parse(source).body[0]
    assert isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    lines = source.splitlines()
    head = lines[node.lineno - 1 : node.body[0].lineno - 1] or [lines[node.lineno - 1]]
    if isinstance(node, ast.ClassDef):
        for part in node.body:
            fields = isinstance(part, ast.AnnAssign)
            if fields or getattr(part, "name", "") == "__init__":
                end = part.body[0].lineno - 1 if not fields else part.end_lineno  # type: ignore[attr-defined]
                head += lines[part.lineno - 1 : end]
    return "\n".join(line.partition("  # noqa")[0] for line in head if line.strip())


def _breakable(name: str) -> Markup:
    """A long name may go on in the next line after a dot or an underscore."""
    return Markup(re.sub(r"([._])(?=\w)", r"\1<wbr>", name))
