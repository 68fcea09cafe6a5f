"""Figures as notebooks store them: seen untrusted, and the same on every processor."""

from __future__ import annotations

import base64
import io
import re
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from labkit.figures import style
from labkit.figures.outputs import as_png, as_svg


@pytest.fixture(autouse=True)
def in_style():
    with mpl.rc_context():
        style.use()
        yield


def figure(noise: float = 0.0) -> Figure:
    """Curves, markers, bars, letters at an angle and an image, all a little moved."""
    drawn = Figure(figsize=(6, 3))
    left, middle, right = drawn.subplots(1, 3)
    x = np.linspace(0, 1, 50)
    left.plot(x, np.sin(9 * x) * (1 + noise) + noise, marker="o", label="sine")
    left.bar([0.1, 0.7], [0.3 + noise, 0.5], hatch="/")
    left.set_xticks([0.3 + noise], ["a third"], rotation=37)
    left.legend()
    middle.scatter(x, x**2 + noise, s=20 * (1 + noise))
    right.imshow(np.eye(3), extent=(0, 1, 0, 2 + noise))
    return drawn


def svg(drawn: Figure) -> str:
    text = as_svg(drawn)
    assert text is not None
    return text


def png(drawn: Figure) -> str:
    text = as_png(drawn)
    assert text is not None
    return text


def test_other_last_digits_change_nothing() -> None:
    assert svg(figure()) == svg(figure(noise=1e-9))


def test_what_looks_different_is_different() -> None:
    assert svg(figure()) != svg(figure(noise=0.05))


def test_every_name_that_is_used_is_defined() -> None:
    text = svg(figure())
    names = re.findall(r'\bid="([^"]+)"', text)
    used = set(re.findall(r"url\(#([^)]+)\)", text))
    used |= set(re.findall(r'xlink:href="#([^"]+)"', text))
    assert used
    assert used <= set(names)


def test_figures_on_one_page_share_a_name_for_the_same_thing_alone() -> None:
    """A page may put two of them into one document."""

    def defined(drawn: Figure) -> dict[str, bytes]:
        root = ElementTree.fromstring(svg(drawn))
        elements = [
            e for e in root.iter() if re.search("[0-9a-f]{10}$", e.get("id", ""))
        ]
        return {e.attrib["id"]: ElementTree.tostring(e).strip() for e in elements}

    other = figure()
    other.set_size_inches(5, 2)
    first, second = defined(figure()), defined(other)
    shared = set(first) & set(second)
    assert {first[name] for name in shared} == {second[name] for name in shared}
    assert set(first) - shared, "the axes have other sizes, and other clip paths"


def test_svg_holds_no_date_and_keeps_letters_in_shape() -> None:
    text = svg(figure())
    assert "<dc:date>" not in text
    assert "scale(0.015625)" in text


def test_png_has_the_size_of_the_svg_and_no_background() -> None:
    picture = Image.open(io.BytesIO(base64.b64decode(png(figure())))).convert("RGBA")
    width, height = re.findall(r'(?:width|height)="([\d.]+)pt"', svg(figure()))
    expected = [float(length) * 96 / 72 for length in (width, height)]
    assert picture.size == pytest.approx(expected, abs=2)
    assert np.asarray(picture)[0, 0, 3] == 0


def test_png_is_small() -> None:
    assert len(png(figure())) < 20_000


def test_an_empty_figure_has_no_output() -> None:
    assert as_svg(Figure()) is None
    assert as_png(Figure()) is None
