"""Check the built pages: every link and anchor resolves, nothing is loaded from elsewhere.

    python -m tools.links

It needs no browser and takes a second or two, so that `make book` ends with it.
"""

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tools.notebooks import BUILD

SITE = BUILD / "html"
LIMIT = 60e6  # bytes of the whole site
LOADED = {"img", "script", "link", "iframe", "source", "video", "audio", "embed", "object"}


class Page(HTMLParser):
    """What a page refers to, and what can be referred to in it.

    Attributes:
        anchors: all ids.
        links: addresses that a reader may follow.
        loads: addresses that the browser follows by itself.
        faults: what is wrong in the page alone.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.faults: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element's id and addresses."""
        found = {name: value or "" for name, value in attrs}
        if "id" in found:
            if found["id"] in self.anchors:
                self.faults.append(f"the id {found['id']!r} stands twice")
            self.anchors.add(found["id"])
        if tag == "img" and not found.get("alt", "").strip():
            self.faults.append(f"an image without alt text: {found.get('src', '')[:80]}")
        address = found.get("src") or found.get("data") or found.get("href")
        self.loads += [found["poster"]] if "poster" in found else []
        self.loads += [one.split()[0] for one in found.get("srcset", "").split(",") if one.strip()]
        if tag in LOADED and found.get("rel") not in ("canonical", "next", "prev"):
            self.loads += [address] if address else []
        elif tag == "a" and address is not None:
            self.links.append(address)


def pages_of(folder: Path) -> list[Path]:
    """The pages of a site: all `*.html` outside folders whose name begins with "_"."""
    inside = {path: path.relative_to(folder).parts for path in sorted(folder.rglob("*.html"))}
    return [path for path, parts in inside.items() if not any(p.startswith("_") for p in parts)]


def faults(folder: Path) -> list[str]:
    """All that is wrong with the links of the pages in a folder, each with its page."""
    pages = {path.resolve(): Page(path.read_text(encoding="utf-8")) for path in pages_of(folder)}
    found = []
    for path, page in pages.items():
        name = path.relative_to(folder.resolve())
        found += [f"{name}: {fault}" for fault in page.faults]
        found += [f"{name}: {fault}" for fault in dangling(page, path, pages, folder.resolve())]
    return found


def dangling(page: Page, path: Path, pages: dict[Path, Page], folder: Path) -> Iterator[str]:
    """The addresses of a page that lead nowhere, or away where the page must be whole by itself."""
    for address in page.loads + page.links:
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            if address in page.loads and parts.scheme != "data":
                yield f"is loaded from elsewhere: {address}"
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if not target.is_relative_to(folder) or not target.is_file():
            yield f"no such file: {address}"
        elif parts.fragment and target in pages:
            anchor = unquote(parts.fragment)
            if anchor not in pages[target].anchors:
                yield f"no such anchor: {address}"


def size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> int:
    """Check the site and print its size; returns the exit status."""
    found = faults(SITE)
    total = size(SITE)
    if total > LIMIT:
        found.append(f"the site has {total / 1e6:.1f} MB, more than {LIMIT / 1e6:.0f}")
    print(*found, sep="\n", end="\n" if found else "", file=sys.stderr)
    pages = len(pages_of(SITE))
    print(f"  {pages} pages, {total / 1e6:.1f} MB, {len(found)} faults in their links and images")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
