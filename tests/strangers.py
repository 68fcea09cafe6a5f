"""Pages and notebooks as authors of other books write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat

from tests.theme_project import CIRCLE, PNG, cell, prints, project, shows

GIF = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
LONG = "".join(f"step {i:06d}: loss\n" for i in range(2000))  # over 25,000 characters
TABLE = "<table>" + "<tr><td>1</td></tr>" * 2000 + "</table>"

# The handout of a course: no labels, no captions, no title at the top.
HANDOUT = """
Words before any title.

## Week one

:::{figure} square.svg
:alt: A square
:::

:::{figure} square.svg
:alt: The same
:width: 3cm
A caption *without* a label.
:::

:::{table}
| a |
| - |
| 1 |
:::

:::{list-table} Listed
* - a
  - b
:::

![A square](square.svg) ![A film](film.mp4)

::::{tab-set}
:::{tab-item} pip
`pip install`
:::
:::{tab-item} conda
`conda install`
:::
::::

:::{dropdown} Solution
Hidden [link](https://example.org).
:::

:::{admonition} My own
:class: tip dropdown
Folded.
:::

:::{topic} A topic
Aside.
:::

::::{grid} 1 2
:::{card} A [linked](https://example.org) card
:link: https://example.org
Body.
:::
:::{grid-item}
An item.
:::
::::

:::{prf:algorithm} Search
Look.
:::

Speed {si}`10 <\\meter>`, {chem}`H2O`, H<sub>2</sub>O, a note.[^note]

[^note]: Noted.

```{raw} latex
```

```none
as it is
```

<details><summary>More</summary>Inside</details>
"""


def plotting() -> dict[str, Any]:
    """A notebook of plots and tables, by libraries that give several types."""
    return nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("# Plots"),
            cell("seed = 1 + 1  # not a literal\nn: int = 3", tags=("parameters",)),
            cell("train()", prints(LONG)),
            cell("bar()", prints("0%\r50%\r100%\n\x1b]0;title\x07done\n")),
            cell("#| alt: Moves\ngif()", shows(image_gif=GIF, text_plain="<GIF>")),
            cell("sympy()", shows(text_latex=r"$\displaystyle x^{2}$", text_plain="x")),
            cell("md()", shows(text_markdown="**bold** $y$ <i>no</i>", text_plain="M")),
            cell("info()", shows(application_json={"a": [1]}, text_plain="<JSON>")),
            cell("frame()", shows(text_html=TABLE, text_plain="frame")),
            cell(
                "#| alt: A plot\nplotly()",
                shows(
                    text_html='<div></div><script src="https://x.org/p.js"></script>',
                    image_png=PNG,
                    text_plain="Figure",
                ),
            ),
            cell(
                "estimator()",
                shows(
                    text_html='<p onclick="x()">Model</p><script>alert(1)</script>'
                    f"{CIRCLE}",
                    text_plain="Model()",
                ),
            ),
            cell("#| caption: No label\n#| alt: A dot\ndraw()", shows(image_png=PNG)),
            cell("nothing()", shows()),
            nbformat.v4.new_raw_cell(""),
        ],
        metadata={"kernelspec": {"name": "ir", "display_name": "R", "language": "R"}},
    )


def strange(
    folder: Path, texts: dict[str, str], notebooks: dict[str, dict[str, Any]]
) -> Path:
    """The fixture with pages of strangers after its own."""
    project(folder)
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
    for name, notebook in notebooks.items():
        nbformat.write(notebook, folder / name)
    (folder / "film.mp4").write_bytes(b"film")
    configuration = folder / "myst.yml"
    listed = "".join(f"    - file: {name}\n" for name in [*texts, *notebooks])
    text = configuration.read_text("utf-8").replace("site:\n", f"{listed}site:\n")
    configuration.write_text(text, "utf-8")
    return folder


REFUSED = {
    # What is written, the line it is found on, and what the author is told.
    "![](square.svg)": "has no alternative text. Write what it shows",
    "![Far](https://example.org/far.png)": "lies on the web.* Save it beside",
    "![Gone](gone.png)": "no picture gone.png beside this text. Put it there",
    "![Broken](broken.png)": "broken.png is no picture.* Save it as PNG",
    "```{iframe} https://example.org/embed\n```": "frame shows.* Link to it",
    '<iframe src="https://example.org/frame"></iframe>': "frame shows.* Link to it",
    "```{mermaid}\ngraph LR\n```": "no Mermaid diagrams. Export",
    "```{anywidget} widget.mjs\n```": '"anywidget".* Write it in another way',
    "{eval}`1 + 1`": "no value of the expression.* Print it",
    '<a href="javascript:alert(1)">x</a>': "leads to javascript:.*write one of these",
    "[gone](gone.csv)": "leads to gone.csv, where there is no page.* Correct its name",
    "[gone](/gone.pdf)": "leads to /gone.pdf, where there is no page",
    ":::{card} Gone\n:link: gone.md\nx\n:::": "leads to gone.md, where there",
    "```{list-table}\n```": "mystmd cannot read this: required body",
    "[](#nowhere)": "leads to #nowhere: nothing has such a label",
    "{numref}`missing`": 'Nothing in the book has the label "missing"',
    "{cite:p}`nobody1999`": 'No bibliography .* entry "nobody1999"',
    "$\\frac{1$": "KaTeX cannot read a formula",
    "{unknown}`x`": 'There is no role "unknown"',
    "```{unknown}\nx\n```": 'There is no directive "unknown"',
    "```{embed} #missing\n```": 'nothing has the label "missing"',
    "```{raw} html\n<b>raw</b>\n```": "raw HTML.* Write it in MyST",
    "```{code} klingon\nnuqneH\n```": '"klingon".* Name a language',
    "```{code} python\n:emphasize-lines: 9\ny = 9\n```": "emphasises line 9, and has 1",
    ":::{card} A\n:link: javascript:alert(2)\nx\n:::": "leads to javascript:",
}
REFUSED_CELLS = [
    (
        "#| alt: Accuracy: 98 %\nx",
        shows(image_png=PNG),
        r"in quotation marks: `#\| alt",
    ),
    ("#| alt: [x]\nx", shows(image_png=PNG), "no text but a list.* quotation marks"),
    ("plot()", shows(image_png=PNG), "no alternative text. Write what it shows"),
    (
        "#| label: fig-refused\n#| caption: Some\nplot()",
        shows(image_png=PNG),
        "no alternative text. Write what it shows",
    ),
    (
        "widget()",
        shows(**{"application/vnd.jupyter.widget-view+json": {}, "text/plain": "B"}),
        "of type application/vnd.jupyter.widget-view.json.* Let the cell display",
    ),
    ("js()", shows(application_javascript="alert(1)"), "of type application/javasc"),
    (
        "plotly()",
        shows(text_html='<b>x</b><script src="https://x.org/p.js"></script>'),
        "loads https://x.org/p.js.* Let the cell display a picture",
    ),
    ("bokeh()", shows(text_html="<div></div><script>d()</script>"), "without its scr"),
    ("logo()", shows(text_html='<img src="//x.org/a.png">'), "loads //x.org/a.png"),
    ("beside()", shows(text_html='<img src="a.png">'), "loads a.png"),
    ("css()", shows(text_html='<link href="https://x.org/a.css">'), "loads https"),
    (
        "style()",
        shows(text_html="<style>@import 'https://x.org/b.css';</style>x"),
        "loads https://x.org/b.css",
    ),
    ("video()", shows(text_html='<iframe src="https://x.org/v"></iframe>'), "loads"),
    ("folium()", shows(text_html='<iframe srcdoc="<b>"></iframe>Trust'), "a frame"),
    (
        "svg()",
        shows(text_html='<svg><a xlink:href="javascript:a()">x</a></svg>'),
        "link leads to javascript",
    ),
    ("click()", shows(text_html='<a href=" java\nscript:a()">x</a>'), "link leads to"),
    ("file()", shows(text_html='<a href="a.csv">a.csv</a>'), "links to a.csv"),
    ("tex()", shows(text_latex=r"\begin{tabular}{l}x\end{tabular}"), "KaTeX cannot"),
    (
        "fails()",
        nbformat.v4.new_output("error", ename="E", evalue="no", traceback=["E"]),
        "failed when the notebook was last run .E: no..* Mend it",
    ),
]
