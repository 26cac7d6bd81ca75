"""Every page of the rendered book in a real browser, served as it will be.

`make book`, then `make test-site`; the screenshots are in `_build/screenshots`.
"""

import gzip
import os
import shutil
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from lab_page import CHECKS, PANELS, Lab, check_panel

from tools import book, links, pdf
from tools.notebooks import BUILD

SITE = links.SITE
SHOTS = BUILD / "screenshots"
BROWSER = next(filter(None, map(shutil.which, pdf.BROWSERS)), None)
PAGES = [str(path.relative_to(SITE)) for path in links.pages_of(SITE)]
QUICK = {"preload": False, "resultTypes": ["violations"]}


def built() -> str:
    """Why there is nothing to test, or ""."""
    if not book.is_new():
        return "the book is not rendered, or older than its sources: run `make book`"
    return "" if BROWSER else "no Chromium or Chrome to open the book in"


WHY_NOT = built()
if WHY_NOT and "NEEDED" in os.environ:  # by `make test-site`, which is there for nothing else
    raise RuntimeError(WHY_NOT)
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
each_page = pytest.mark.parametrize("name", PAGES)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(SITE)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield started
        started.close()


def settle(page: Any) -> None:
    """Wait until the page has nothing more to load, compute or typeset."""
    page.wait_for_load_state("networkidle")
    page.evaluate("window.MathJax?.startup?.promise")
    if page.locator(".attack-lab").count():
        page.wait_for_selector('.attack-lab[aria-busy="false"]')


@pytest.mark.slow
@each_page
@pytest.mark.parametrize(
    ("width", "theme", "other"), [(1440, "light", "dark"), (390, "dark", "light")]
)
def test_page(browser: Any, origin: str, name: str, width: int, theme: str, other: str) -> None:
    """Nothing fails, leaves the site or overflows, axe finds nothing serious; in both themes."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
    page = context.new_page()
    page.set_default_timeout(120_000)  # on a busy machine
    page.on("console", lambda m: m.type in ("error", "warning") and found.append(m.text))
    page.on("pageerror", lambda error: found.append(str(error)))
    # The first page leads on at once: that cuts off its icon.
    cut = "net::ERR_ABORTED" if name == "index.html" else ""
    page.on("requestfailed", lambda r: r.failure == cut or found.append(f"failed: {r.url}"))
    page.on("response", lambda r: r.status >= 400 and found.append(f"{r.status}: {r.url}"))
    page.on(
        "request",
        lambda r: r.url.startswith((origin, "data:", "blob:")) or found.append(f"away: {r.url}"),
    )
    page.goto(f"{origin}/{name}")
    settle(page)
    found += page.evaluate(BROKEN)
    page.add_style_tag(content="* { transition: none !important }")  # no colours in between
    for scheme in (theme, other):
        page.emulate_media(color_scheme=scheme)
        # The page of a missing address has no theme of its own: it follows the reader's.
        page.wait_for_function(
            "s => (document.documentElement.dataset.theme ?? s) === s", arg=scheme
        )
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            found.append(f"{scheme}: {wide} wide, by {page.evaluate(WIDEST)}")
        for violation in axe.run(page, options=QUICK).response["violations"]:
            nodes = [(n["html"][:200], n["failureSummary"]) for n in violation["nodes"][:3]]
            if violation["impact"] in ("serious", "critical"):
                found.append(f"{scheme}: {violation['id']}: {nodes}")
        height = min(8000, page.evaluate("document.documentElement.scrollHeight"))
        shot = SHOTS / f"{name.removesuffix('.html').replace('/', '-')}-{scheme}-{width}.png"
        clip = {"x": 0, "y": 0, "width": width, "height": height}
        page.screenshot(path=shot, full_page=True, clip=clip)
    context.close()
    assert found == []


BROKEN = """
[...document.images].filter((i) => !i.naturalWidth).map((i) => `broken: ${i.src.slice(0, 100)}`)
"""
WIDEST = """
[...document.querySelectorAll("main *")].filter((e) => {
  const box = e.getBoundingClientRect();
  return box.right > innerWidth + 1 && box.width > 0 && !e.closest("[style*='overflow']");
}).slice(0, 3).map((e) => `${e.localName}.${e.className} ${e.textContent.slice(0, 40)}`).join("; ")
"""


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_lab(browser: Any, origin: str, check: Any) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    lab = Lab(page, f"{origin}/book/lab.html")
    check(lab)
    page.close()
    assert lab.problems == []


@pytest.mark.parametrize("name", PANELS)
def test_a_chapter_opens_the_lab(browser: Any, origin: str, name: str) -> None:
    page = browser.new_page()
    lab = Lab(page, f"{origin}/notebooks/{name}.html", wait=False)
    check_panel(lab, name)
    page.close()
    assert lab.problems == []


def test_the_dark_theme_leaves_adversarial_images_as_they_are(browser: Any, origin: str) -> None:
    page = browser.new_page(color_scheme="dark")
    page.goto(f"{origin}/notebooks/02-fgsm.html")
    settle(page)
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    filters = page.evaluate(
        "[...document.querySelectorAll('.cell_output img')].map((i) => getComputedStyle(i).filter)"
    )
    page.close()
    assert len(filters) > 3
    assert set(filters) == {"none"}


@pytest.mark.parametrize("width", [1280, 1440])
def test_code_fits_a_laptops_screen(browser: Any, origin: str, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800})
    wide = {}
    for name in (name for name in PAGES if name.startswith("notebooks/")):
        page.goto(f"{origin}/{name}")
        wide[name] = page.evaluate(
            "[...document.querySelectorAll('div.cell_input pre')]"
            ".filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.textContent)"
        )
    page.close()
    assert len(wide) > 8
    assert {name: cells for name, cells in wide.items() if cells} == {}


@pytest.mark.parametrize(
    "name", ["notebooks/08-results.html", "notebooks/09-reading-critically.html"]
)
def test_a_page_is_printed_whole_and_in_the_light_theme(
    browser: Any, origin: str, name: str
) -> None:
    page = browser.new_page(viewport={"width": 718, "height": 1000}, color_scheme="dark")
    page.goto(f"{origin}/{name}")
    settle(page)
    theme = "document.documentElement.dataset.theme"
    page.evaluate(f"addEventListener('beforeprint', () => (window.printed = {theme}))")
    page.pdf()
    assert (page.evaluate("printed"), page.evaluate(theme)) == ("light", "dark")
    page.emulate_media(media="print")
    cut = page.evaluate(
        "[...document.querySelectorAll('.cell_output table')]"
        ".filter((e) => e.scrollWidth > e.closest('.cell_output').clientWidth)"
        ".map((e) => e.caption.textContent)"
    )
    page.close()
    assert cut == []


def test_search_finds_a_chapter(browser: Any, origin: str) -> None:
    page = browser.new_page()
    page.goto(f"{origin}/search.html?q=guacamole")
    page.wait_for_selector("ul.search a", timeout=60_000)
    assert "Adversarial examples" in page.inner_text("ul.search")
    page.close()


def test_keyboard_reaches_the_text_first(browser: Any, origin: str) -> None:
    page = browser.new_page()
    page.goto(f"{origin}/book/index.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent.trim()") == "Skip to main content"
    page.close()


def test_first_view_is_fast(browser: Any, origin: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Largest contentful paint with an empty cache, the processor four times slower, best of 3."""
    times: dict[str, float] = {}
    for name in ("book/index.html", "notebooks/02-fgsm.html", "book/lab.html") * 3:
        context = browser.new_context(viewport={"width": 390, "height": 844})
        page = context.new_page()
        session = context.new_cdp_session(page)
        session.send("Network.setCacheDisabled", {"cacheDisabled": True})
        session.send("Emulation.setCPUThrottlingRate", {"rate": 4})
        page.goto(f"{origin}/{name}")
        times[name] = min(page.evaluate(PAINT), times.get(name, 1e9))
        context.close()
    with capsys.disabled():
        print("", *(f"{name}: first view {t:.0f} ms" for name, t in times.items()), sep="\n  ")
    # Others may run beside it, unless one says that they do not.
    assert max(times.values()) <= (1500 if "QUIET_MACHINE" in os.environ else 4500)


def test_the_lab_is_light(browser: Any, origin: str, capsys: pytest.CaptureFixture[str]) -> None:
    """All that its page loads until it answers, compressed as a server would."""
    page = browser.new_page()
    bodies: list[bytes] = []
    page.on("response", lambda r: bodies.append(r.body()))
    page.goto(f"{origin}/book/lab.html")
    settle(page)
    page.close()
    megabytes = sum(len(gzip.compress(body)) for body in bodies) / 1e6
    with capsys.disabled():
        print(f"\n  the lab loads {megabytes:.2f} MB, compressed, in {len(bodies)} files")
    assert megabytes <= 3


PAINT = """
new Promise((resolve) => new PerformanceObserver((list) => {
  const seen = list.getEntries();
  resolve(seen[seen.length - 1].startTime);
}).observe({ type: "largest-contentful-paint", buffered: true }))
"""
