"""The page for those who see little, or hear it: contrasts, names, headings and texts, in the page as it is written."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from pages import KINDS, ROOT, content_of_kind

from bench.report.figures._style import COLOURS, OWN_LOOK
from bench.report.page._html import to_html

SCHEMES = (0, 1)  # light and dark, as `light-dark` has them
BASE = (ROOT / "bench" / "report" / "page" / "templates" / "style" / "base.css").read_text()
VARIABLES = {
    name: (light, dark or light)
    for name, light, dark in re.findall(
        r"--([a-z]+): (?:light-dark\()?(#[0-9a-f]{6})(?:, (#[0-9a-f]{6})\))?;", BASE
    )
}


def luminance(colour: str) -> float:
    """Return the relative luminance of ``#rrggbb`` (WCAG 2.2)."""
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    lower, upper = sorted((luminance(one), luminance(other)))
    return (upper + 0.05) / (lower + 0.05)


def test_contrast_is_that_of_the_guideline() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # the guideline's own example


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("ground", ["page", "surface", "soft"])
@pytest.mark.parametrize("text", ["ink", "muted", "accent", "good", "bad"])
def test_texts_stand_out(text: str, ground: str, scheme: int) -> None:
    assert contrast(VARIABLES[text][scheme], VARIABLES[ground][scheme]) >= 4.5


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("colour", [*COLOURS, OWN_LOOK.colour])
def test_marks_stand_out(colour: str, scheme: int) -> None:
    assert contrast(colour, VARIABLES["surface"][scheme]) >= 3


def test_networks_of_ones_own_have_one_colour() -> None:
    assert {colour.upper() for colour in VARIABLES["own"]} == {OWN_LOOK.colour.upper()}


class Outline(HTMLParser):
    """Collects what those hear who do not see: headings, names of controls, texts in place of pictures."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.headings: list[int] = []
        self.without_name: list[str] = []
        self.labelled: set[str] = set()
        self._open: list[tuple[str, dict[str, str | None]]] = []
        self._texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        in_label = any(name == "label" for name, _ in self._open)
        has_name = any(given.get(key) for key in ("aria-label", "aria-labelledby", "title"))
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag in ("input", "select", "textarea") and not (in_label or has_name):
            self.without_name.append(self.get_starttag_text() or tag)
        if given.get("role") in ("img", "group", "region", "toolbar") and not has_name:
            self.without_name.append(self.get_starttag_text() or tag)
        if tag == "img" and "alt" not in given:
            self.without_name.append(self.get_starttag_text() or tag)
        if given.get("tabindex") == "0" and "role" not in given and tag != "pre":
            self.without_name.append(self.get_starttag_text() or tag)
        if tag not in ("input", "img", "meta", "br", "hr", "path", "use", "link"):
            self._open.append((tag, given))
            self._texts.append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open:
            (last, given), text = self._open.pop(), self._texts.pop()
            if self._texts:
                self._texts[-1] += text
            if last in ("button", "a", "summary", "caption") and not (
                text.strip() or given.get("aria-label")
            ):
                self.without_name.append(f"<{last} {given}>")
            if last == tag:
                return

    def handle_data(self, data: str) -> None:
        if self._texts:
            self._texts[-1] += data


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_can_be_heard(kind: str, tmp_path: Path) -> None:
    html = to_html(content_of_kind(kind, tmp_path))
    outline = Outline(html)
    assert outline.headings[0] == 1
    assert outline.headings.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(outline.headings))
    assert outline.without_name == []
    ids = re.findall(r'\sid="([^"]*)"', html.partition('<script type="application/json"')[0])
    assert len(ids) == len(set(ids))
    targets = set(re.findall(r'href="#([^"]*)"', html.partition("<script")[0]))
    assert targets <= set(ids)
    for table in re.findall(r"<table.*?</table>", html, re.DOTALL):
        assert re.search('<th scope="(col|row)"', table)
