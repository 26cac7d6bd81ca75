"""The Sphinx extension of the book: what belongs to the whole site and not to one page."""

import re
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

from tools.addresses import BRANCH, base_url, git, repository
from tools.notebooks import write

COLAB = "https://colab.research.google.com"
CARD = "_static/card.png"
SCROLLS = '<div style="overflow-x:auto"'
SIGNATURE = re.compile(r"<dl>\s*<dd>.*?</dl>", re.DOTALL)
NOT_FOUND = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Page not found</title>
<base href="{base}">
<link rel="icon" href="_static/favicon.png">
<style>
html {{ color: #111; background: #fff; }}
body {{ font: 1.1rem/1.6 system-ui; max-width: 34rem; margin: 15vh auto; padding: 1rem; }}
a {{ color: inherit; }}
@media (prefers-color-scheme: dark) {{ html {{ color: #eee; background: #121212; }} }}
</style>
</head>
<body>
<main>
<h1>This page is not here</h1>
<p>It may have been moved or renamed. Start at <a href="book/index.html">the first page</a>, or
<a href="search.html">search the book</a>.</p>
</main>
</body>
</html>
"""


def set_addresses(app: Sphinx, config: Config) -> None:
    """Tell the theme where the repository and the pages are; no address, no button."""
    address = repository()
    config.html_baseurl = base_url()
    config.html_theme_options |= {
        "repository_url": address,
        "repository_branch": BRANCH,
        "use_repository_button": bool(address),
        "use_issues_button": "bitbucket" not in address and bool(address),
        "launch_buttons": {"colab_url": COLAB if opens_in_colab(Path(app.srcdir), address) else ""},
    }


def opens_in_colab(folder: Path, address: str) -> bool:
    """Whether the committed notebooks, which Colab opens from GitHub, say where the library is."""
    wanted = f"git+{address}@v"
    committed = git(folder, "grep", "-lF", wanted, "HEAD", "--", "*.ipynb")
    return "github.com" in address and bool(committed)


def describe(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Put into a page what other sites show where they link to it, and mend its HTML."""
    if doctree is None:
        return
    context["body"] = mended(context["body"])
    if 'class="lab-here"' in context["body"]:
        app.add_js_file("lab/open.js", loading_method="defer")
    first = next(iter(doctree.findall(nodes.paragraph)), None)
    words = " ".join(first.astext().split()) if first else ""
    if len(words) > 200:
        words = words[:200].rpartition(" ")[0] + " ..."
    properties = {
        "og:type": "article",
        "og:site_name": app.config.project,
        "og:title": app.env.titles[page].astext(),
        "og:description": words,
    }
    if base := base_url():
        properties |= {
            "og:url": f"{base}{page}.html",
            "og:image": f"{base}{CARD}",
            "og:image:alt": "Digits, the same digits attacked, and the budget of each pixel.",
            "twitter:card": "summary_large_image",
        }
    tags = [f'<meta property="{k}" content="{escape(v)}">' for k, v in properties.items()]
    tags.append(f'<meta name="description" content="{escape(words)}">')
    context["metatags"] = context.get("metatags", "") + "\n".join(tags)


def mended(body: str) -> str:
    """A page's HTML without three faults that shut out screen readers or the keyboard.

    Sphinx writes a signature of several lines as a list of definitions without terms, and the
    entries of the bibliography as no items of its list. What scrolls must be reached by keyboard.
    """
    body = body.replace(SCROLLS, f'{SCROLLS} tabindex="0"')
    for lines in SIGNATURE.findall(body):
        spans = lines.replace("<dd>", '<span class="sig-line">').replace("</dd>", "</span>")
        body = body.replace(lines, spans.replace("<dl>", "<span>").replace("</dl>", "</span>"))
    return body.replace('role="doc-biblioentry"', 'role="listitem"')


def finish(app: Sphinx, exception: Exception | None) -> None:
    """Write the page for addresses that are not there, and the sitemap."""
    if exception:
        return
    base = base_url()
    write(app.outdir / "404.html", NOT_FOUND.format(base=base or "/"))
    if base:
        urls = "\n".join(
            f"<url><loc>{escape(base)}{page}.html</loc></url>"
            for page in sorted(app.env.found_docs)
        )
        schema = "http://www.sitemaps.org/schemas/sitemap/0.9"
        head = '<?xml version="1.0" encoding="UTF-8"?>'
        write(app.outdir / "sitemap.xml", f'{head}\n<urlset xmlns="{schema}">\n{urls}\n</urlset>\n')


def without_thebe(app: Sphinx) -> None:
    """Undo sphinx-thebe, which jupyter-book always loads.

    It offers kernels of other sites, and its script, put in twice, is an error in every page.
    """
    for listeners in app.events.listeners.values():
        listeners[:] = [one for one in listeners if one.handler.__module__ != "sphinx_thebe"]
    app.registry.css_files[:] = [
        one for one in app.registry.css_files if one[0] != "sphinx-thebe.css"
    ]


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    without_thebe(app)
    app.connect("config-inited", set_addresses)
    app.connect("html-page-context", describe)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
