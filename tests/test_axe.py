"""The page by axe-core: no serious finding on any kind of page, in light and in dark.

It needs Chromium and axe-core's file: its path in the variable `BENCH_AXE`, or `npm install axe-core` in this repository or
in a folder above it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Tab, chromium, tab
from pages import KINDS, ROOT, content_of_kind

from bench.report.page._html import to_html


def axe() -> Path | None:
    """Return the file of axe-core, or None."""
    places = [folder / "node_modules" / "axe-core" / "axe.min.js" for folder in (ROOT, *ROOT.parents)]
    if given := os.environ.get("BENCH_AXE"):
        places.insert(0, Path(given))
    return next((path for path in places if path.is_file()), None)


pytestmark = [
    pytest.mark.skipif(chromium() is None, reason="needs Chromium or Chrome"),
    pytest.mark.skipif(
        axe() is None, reason="needs axe-core: npm install axe-core, or its file in BENCH_AXE"
    ),
]
SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with tab(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def found(browser: Tab) -> list[dict[str, Any]]:
    """Return what axe finds on the open page, each with its first places."""
    script = axe()
    assert script is not None
    browser.js(script.read_text(encoding="utf-8") + "; 1")
    node = "n => n.html + ' ' + n.failureSummary"
    told = f"v => ({{id: v.id, impact: v.impact, nodes: v.nodes.slice(0, 5).map({node})}})"
    findings = browser.js(f"axe.run().then(done => done.violations.map({told}))")
    assert isinstance(findings, list)
    return findings


@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_nothing_serious(kind: str, browser: Tab, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(to_html(content_of_kind(kind, tmp_path)), encoding="utf-8")
    for scheme in ("light", "dark"):
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.call("Emulation.setEmulatedMedia", features=media)
        browser.open(file)
        browser.js("document.querySelectorAll('details').forEach(part => { part.open = true; }); 1")
        browser.settle()
        assert [one for one in found(browser) if one["impact"] in SERIOUS] == [], scheme


def test_axe_would_find_something(browser: Tab, tmp_path: Path) -> None:
    """A picture without a text in its place is a critical finding."""
    file = tmp_path / "bad.html"
    file.write_text(
        "<!doctype html><html lang=en><title>bad</title><main><h1>Bad</h1><img src='data:,'></main></html>"
    )
    browser.open(file)
    assert ("image-alt", "critical") in {(one["id"], one["impact"]) for one in found(browser)}
