"""The book's theme: mystmd parses the chapters, this package writes the pages.

mystmd (`myst build --site`, `myst start`) turns notebooks and Markdown into syntax
trees, one JSON document a page. What happens then is here, in the order of reading;
each file imports only from those above it.

    errors.py    what stops a build: faults, each with its place and its remedy
    tree.py      the trees: walked, read, copied without links
    urls.py      addresses, and which of them a page may load or link to
    html.py      elements
    content.py   the site as mystmd hands it over, in a folder or from its server
    sources.py   where the author finds a node: page, cell, line
    lines.py     formulas that no line's end takes apart
    code.py      highlighted source
    programs.py  Node and mystmd, beside Python
    katex.py     what formulas need: their HTML, style sheet and fonts, cut to the book
    pictures.py  pictures and their sizes
    foreign.py   HTML and Markdown that code produced, made harmless
    nodes.py     a page, and one function for each kind of node; they are in
    text.py      words, lists, mathematics, links
    boxes.py     figures, tables, admonitions, statements, exercises
    cells.py     code cells and listings
    outputs.py   what code produced: text, tables, pictures
    notation.py  symbols, wired to the code and to their first use
    book.py      what authors wrote, as pages
    facts.py     what a chapter takes, needs, and was made from
    sheet.py     what pages differ in
    lists.py     pages made from the others: figures, bibliography, and
    docstrings.py, api.py   the reference of the code
    pages.py     all pages, and around each the contents, the outline and the facts
    search.py    the words of the book, and previews, for the scripts in static/
    render.py    all pages and what they need, as files
    serve.py     the same pages while one writes
    check.py     links, anchors, pictures and addresses of the built pages
    build.py     the command behind `make book`: assets, mystmd, checks

The HTML around a text is in templates/, what it looks like in static/book.css, what it
does beyond being read in static/*.js.
"""
