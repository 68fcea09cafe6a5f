"""The book's theme: mystmd parses the chapters, this package writes the pages.

mystmd (`myst build --html`, `myst start`) turns notebooks and Markdown into syntax
trees, one JSON document a page, and hands them over from a small content server.
What happens then is here, in the order of reading:

    content.py   fetches the site's configuration and its pages
    nodes.py     one function for each kind of node: tree in, HTML out; they are in
    text.py      words, lists, mathematics, links
    boxes.py     figures, tables, admonitions, statements, exercises
    cells.py     code cells and listings, with
    outputs.py   what code produced: text, tables, pictures, and
    code.py      highlighted source
    pages.py     the book: its pages, and around each the contents, the outline and
    facts.py     what a chapter takes, needs, and was made from
    notation.py  symbols, wired to the code and to their first use
    lists.py     pages made from the others: figures, bibliography, and
    api.py       the reference of the code, from its docstrings
    katex.py     what formulas need: their HTML, style sheet and fonts, cut to the book
    search.py    the words of the book, and previews, for the scripts in static/
    render.py    all pages and what they need, into a folder
    serve.py     the same pages while one writes
    build.py     the command behind `make book`: assets, mystmd, checks
    check.py     links, anchors, pictures and addresses of the built pages

The HTML around a text is in templates/, what it looks like in static/book.css, what it
does beyond being read in static/*.js.
"""
