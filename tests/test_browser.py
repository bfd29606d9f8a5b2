"""The page in a real browser, opened from disk: it fetches nothing, complains of nothing, and does what it says."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from browser import Tab, chromium, tab
from figure_records import race
from make_records import NETS, by_name, counted, in_processes, job, make_run, record, records, scored
from pages import content_of_kind

from bench.records.record import count
from bench.report.page._html import _TEMPLATES, to_html
from bench.report.text import plain
from bench.units import Scale, ranged, significant
from reports import NASTY, content_of, doubtful_run

pytestmark = pytest.mark.skipif(chromium() is None, reason="needs Chromium or Chrome")

HOSTILE = (NASTY, "'\"><img src=x onerror=alert(1)>", "\u05d0\u05d1 \u202e rtl", "😀" * 30, "x" * 5000)
ROWS = "[...document.querySelectorAll('#table-comparison tbody tr')]"
VISIBLE = f"{ROWS}.filter(row => row.checkVisibility())"
NAMES = ".map(row => row.cells[0].querySelector('bdi').textContent)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with tab(tmp_path_factory.mktemp("profile")) as opened:
        size = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        opened.call("Emulation.setDeviceMetricsOverride", **size)
        yield opened


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    columns = ["name", "kind", "output", "parameters", "macs", "activation_bytes", "receptive_field"]
    layers = count(
        "layers", 2, columns=columns, rows=[[NASTY, "Conv2d", "64×8×8", 100, 5000, 16384, 7], ["fc", "Linear", "10", 50, 50, 40, None]]
    )  # fmt: skip
    seen = [*records(), record(job(NETS[0]), NETS[0], [*counted(NETS[0]), layers])]
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(to_html(content_of(make_run(seen))), encoding="utf-8")
    return path


@pytest.fixture
def opened(browser: Tab, page: Path) -> Tab:
    browser.open(page)
    return browser


def clean(browser: Tab, page: Path) -> None:
    """Assert that the page has run to its end, said nothing and asked for nothing but itself."""
    assert browser.js("document.documentElement.dataset.ready") is not None
    assert browser.complaints() == []
    assert browser.requests() == [page.as_uri()]


def test_page_runs_without_a_complaint_or_a_request(opened: Tab, page: Path) -> None:
    assert opened.js("document.querySelectorAll('svg.plot').length") == 4 + 4  # charts; strips of layers
    assert opened.js("document.documentElement.scrollWidth") <= 1280
    clean(opened, page)


def test_heads_sort_both_ways_with_missing_values_last(opened: Tab) -> None:
    head = "#table-comparison th:nth-child(3) button"  # top-1, that LeNet and others lack
    for _ in range(2):
        opened.click(head)
        order = opened.js(
            "[...document.querySelectorAll('#table-comparison tbody tr')].map(r => r.cells[2].textContent)"
        )
        missing = order.count("–")
        numbers = [float(text) for text in order[:-missing]]
        assert len(numbers) > 5
        assert order[-missing:] == ["–"] * missing
        assert numbers in (sorted(numbers), sorted(numbers, reverse=True))
    assert numbers == sorted(numbers, reverse=True)
    assert opened.js("document.querySelector('#table-comparison th:nth-child(3)').ariaSort") == "descending"


def test_the_filter_holds_for_table_and_charts(opened: Tab) -> None:
    opened.js(
        "const box = document.querySelector('[data-filter]'); box.value = 'ResNet 5'; box.dispatchEvent(new Event('input'))"
    )
    assert opened.js(VISIBLE + NAMES) == ["resnet50", "resnet152"] or set(opened.js(VISIBLE + NAMES)) >= {
        "resnet50"
    }
    shown = opened.js(VISIBLE + NAMES)
    assert all("resnet" in name for name in shown)
    drawn = opened.js("[...document.querySelectorAll('#chart-ranking .mark')].map(m => m.dataset.network)")
    assert set(drawn) == set(shown)
    assert (
        opened.js("document.querySelector('[data-count]').textContent") == f"{len(shown)} of {len(NETS)} rows"
    )


def test_a_chart_of_nothing_has_no_axes_and_says_so(opened: Tab, page: Path) -> None:
    fill = "const box = document.querySelector('[data-filter]'); box.value = {!r}; box.dispatchEvent(new Event('input'))"
    charts = ("chart-scatter", "chart-ranking", "chart-batch", "chart-curves")
    said = f"{list(charts)}.map(id => document.getElementById(id).textContent)"
    opened.js("{" + fill.format("no such network") + "}")
    assert opened.js(said) == ["nothing to show with this choice"] * len(charts)
    opened.js("[...document.querySelectorAll('.zoom button')].forEach(button => button.click())")
    opened.js("{" + fill.format("resnet") + "}")
    assert opened.js(
        "[...document.querySelectorAll('.plot-host')].every(host => host.querySelector('.tick'))"
    )
    clean(opened, page)


def test_columns_can_be_left_out_and_the_csv_has_what_is_shown(opened: Tab) -> None:
    opened.js("document.querySelectorAll('.columns input')[0].click()")  # the year
    assert opened.js(f"{ROWS}.every(row => row.cells[1].hidden)")
    opened.js(
        "globalThis.made = new Promise(go => { URL.createObjectURL = blob => { go(blob.text()); return '#'; }; }); 1"
    )
    opened.click("[data-csv]")
    rows = list(csv.reader(io.StringIO(opened.js("made").removeprefix("\ufeff"))))
    assert rows[0][:2] == ["Network", "Top-1, published (fraction)"]
    assert [row[0] for row in rows[1:]] == opened.js(ROWS + NAMES)
    assert len({len(row) for row in rows}) == 1
    assert not {"\u2013"} & {cell for row in rows for cell in row}  # what is missing is empty
    latencies = {"Latency, batch 1 (s)", "Latency, batch 1, low (s)", "Latency, batch 1, high (s)"}
    assert latencies <= set(rows[0])
    for row in rows[1:]:
        value, low, high = (dict(zip(rows[0], row, strict=True))[key] for key in sorted(latencies, key=len))
        assert value == low == high == "" or min(float(low), float(high)) <= float(value)


def test_the_csv_has_numbers_in_full(opened: Tab) -> None:
    numbers = opened.js(
        f"{ROWS}.map(r => [...r.cells].filter(c => c.classList.contains('number') && c.textContent.trim() !== '–')"
        ".every(c => c.dataset.sort !== '' && !isNaN(c.dataset.sort)))"
    )
    assert all(numbers)


def test_one_number_is_rounded_once(opened: Tab) -> None:
    """What the chart of one quantity says of a network is what the table says, but for the prefix of the unit."""
    said = opened.js(
        "[...document.querySelectorAll('#chart-ranking .mark')].map(m => [m.dataset.network, m.querySelectorAll('text')[1].textContent])"
    )
    heads = opened.js("[...document.querySelectorAll('#table-comparison thead th')].map(h => h.textContent)")
    place = next(i for i, head in enumerate(heads) if head.startswith("Latency, batch 1"))
    table = dict(
        opened.js(f"{ROWS}.map(r => [r.dataset.network, r.cells[{place}].firstChild.textContent.trim()])")
    )
    assert len(said) > 5
    for network, text in said:
        digits = table[network].replace(".", "").replace(",", "").lstrip("0")
        assert text.split(" ")[0].replace(".", "").replace(",", "").strip("0") == digits.strip("0"), network


def test_a_network_is_highlighted_in_every_chart_and_table(opened: Tab) -> None:
    opened.js(f"{ROWS}.find(r => r.dataset.network === 'vgg16').querySelector('bdi').click()")
    lit = "[...document.querySelectorAll('.lit')]"
    assert opened.js(f"[...new Set({lit}.map(e => e.dataset.network))]") == ["vgg16"]
    places = opened.js(f"[...new Set({lit}.map(e => e.closest('table, .plot-host').id))]")
    assert set(places) >= {
        "table-comparison",
        "chart-scatter",
        "chart-ranking",
        "chart-batch",
        "chart-curves",
    }
    assert opened.js("document.querySelector('#highlight').value") == "vgg16"
    opened.until("getComputedStyle(document.querySelector('.plot .mark:not(.lit)')).opacity < 0.3")
    opened.js("document.querySelector('#highlight').value = ''; document.querySelector('#highlight').dispatchEvent(new Event('change'))")  # fmt: skip
    assert opened.js(f"{lit}.length") == 0


def test_families_leave_the_charts_by_the_legend(opened: Tab) -> None:
    drawn = "document.querySelectorAll('#chart-ranking [data-network^=vgg]').length"
    assert opened.js(drawn) == 3
    toggle = "[...document.querySelectorAll('#legend button')].find(b => b.textContent === 'vgg')"
    opened.js(f"{toggle}.click()")
    assert (opened.js(drawn), opened.js(f"{toggle}.ariaPressed")) == (0, "false")
    opened.js(f"{toggle}.click()")
    assert opened.js(drawn) == 3


def test_axes_and_quantities_are_chosen(opened: Tab) -> None:
    axis = "[...document.querySelectorAll('#chart-scatter text.axis')].map(t => t.textContent)"
    assert opened.js(axis) == ["Latency, batch 1", "Top-1, published (%)"]  # what the answer weighs
    choose = "const s = document.querySelectorAll('#front-plot select')[1]; s.value = 'macs'; s.dispatchEvent(new Event('change'))"
    opened.js("{" + choose + "}")
    assert opened.js(axis)[0] == "MACs"
    ticks = "[...document.querySelectorAll('#chart-scatter text.tick')].map(t => t.textContent).join()"
    before = opened.js(ticks)
    opened.click("#front-plot .tick-box input")  # no longer logarithmic
    assert opened.js(ticks) != before


def test_a_mark_tells_all_of_its_row_by_keyboard_and_pointer(opened: Tab) -> None:
    opened.js("document.querySelector('#chart-scatter svg').focus()")
    opened.key("ArrowRight")
    first = opened.js("document.querySelector('#tip').innerText")
    assert first.startswith("alexnet")  # the fewest MACs of those with a published accuracy
    assert "Latency, batch 1 (ms)" in first
    opened.key("Enter")
    assert opened.js("document.querySelector('#highlight').value") == "alexnet"
    opened.key("Escape")
    assert opened.js("document.querySelector('#tip').hidden")
    place = (
        "const b = document.querySelector('#chart-scatter [data-network=vgg19] .dot').getBoundingClientRect()"
    )
    for i in range(20):  # what is drawn as it comes into view may still push the chart to another place
        opened.js(
            "document.querySelector('#chart-scatter').scrollIntoView({behavior: 'instant', block: 'center'})"
        )
        opened.settle()
        x, y = opened.js("{" + place + "; [b.x + b.width / 2, b.y + b.height / 2]}")
        opened.call(
            "Input.dispatchMouseEvent", type="mouseMoved", x=x + i % 2, y=y
        )  # a pointer at rest tells nothing
        opened.settle()
        if opened.js("document.querySelector('#tip b')?.textContent === 'vgg19'"):
            return
    pytest.fail("the pointer on vgg19's mark shows no tip of it")


def test_an_area_is_enlarged_by_dragging_and_all_is_shown_again(opened: Tab) -> None:
    opened.js(
        "document.querySelector('#chart-scatter').scrollIntoView({behavior: 'instant', block: 'center'})"
    )
    ticks = "[...document.querySelectorAll('#chart-scatter text.tick')].map(t => t.textContent).join()"
    before = opened.js(ticks)
    x, y = opened.js(
        "{const b = document.querySelector('#chart-scatter svg').getBoundingClientRect(); [b.x, b.y]}"
    )
    for kind, dx, dy in (("mousePressed", 150, 60), ("mouseMoved", 300, 150), ("mouseReleased", 420, 240)):
        opened.call(
            "Input.dispatchMouseEvent", type=kind, x=x + dx, y=y + dy, button="left", buttons=1, clickCount=1
        )
    assert opened.js(ticks) != before
    opened.js("[...document.querySelectorAll('.chart:has(#chart-scatter) .zoom button')].at(-1).click()")
    assert opened.js(ticks) == before


def test_ticks_are_told_apart_however_narrow_the_domain(opened: Tab) -> None:
    buttons = "[...document.querySelectorAll('.chart:has(#chart-scatter) .zoom button')]"
    ticks = "[...document.querySelectorAll('#chart-scatter text.tick')].map(t => [t.getAttribute('text-anchor'), t.textContent].join())"
    for _ in range(12):
        opened.js(f"{buttons}[0].click()")
        shown = opened.js(ticks)
        assert len(set(shown)) == len(shown) >= 4
    opened.js(f"{buttons}.at(-1).click()")


def test_chosen_rows_stand_side_by_side_with_ratios(opened: Tab) -> None:
    for name in ("vgg16", "resnet18"):
        opened.js(f"{ROWS}.find(r => r.dataset.network === '{name}').querySelector('input').click()")
    heads = opened.js("[...document.querySelectorAll('#compare-table thead th')].map(h => h.textContent)")
    assert heads == ["Quantity", "vgg16", "resnet18"]
    row = "[...document.querySelectorAll('#compare-table tbody tr')].find(r => r.cells[0].textContent === 'Parameters')"
    assert opened.js(f"[...{row}.cells].slice(1).map(c => c.textContent)") == [
        "138 M", "11.7 M×0.0845, better",  # 11,689,512 / 138,357,544
    ]  # fmt: skip
    opened.js("[...document.querySelectorAll('#compare-table button')].at(-1).click()")
    assert opened.js("document.querySelectorAll('[data-choose]:checked').length") == 0


NAMED = ("alexnet", "vgg16", "resnet18", "resnet34", "resnet50")


def test_ratios_say_only_what_may_be_compared(browser: Tab, tmp_path: Path) -> None:
    alexnet, vgg16, resnet18, resnet34, resnet50 = by_name(*NAMED)
    timed = [r for r in in_processes(records([vgg16, resnet18])) if r.job.task != "accuracy"]
    other_batch = [
        r.changed(job=r.job.with_settings(batch_size=8))
        for r in in_processes(records([resnet50]))
        if r.job.task == "infer" and r.job.settings.batch_size != 1
    ]
    trained = [
        *(scored(vgg16, s, 0.90 + s / 1000) for s in range(3)),
        *(scored(resnet18, s, 0.93 + s / 1000) for s in range(3)),
        *(scored(resnet50, s, 0.99 + s / 1000, dataset="digits", epochs=2) for s in range(3)),
        scored(resnet34, 0, 0.98),
    ]
    file = tmp_path / "ratios.html"
    seen = [*timed, *other_batch, *trained, record(job(alexnet), alexnet, counted(alexnet))]
    file.write_text(to_html(content_of(make_run(seen))), encoding="utf-8")
    browser.open(file)
    for name in ("vgg16", "resnet18", "resnet50", "resnet34", "alexnet"):
        browser.js(f"{ROWS}.find(r => r.dataset.network === '{name}').querySelector('input').click()")

    heads = browser.js("[...document.querySelectorAll('#compare-table thead th')].map(h => h.textContent)")
    assert heads == ["Quantity", "vgg16", "resnet18", "resnet50", "resnet34", "alexnet"]

    def told(quantity: str) -> list[str]:
        row = f"[...document.querySelectorAll('#compare-table tbody tr')].find(r => r.cells[0].textContent === '{quantity}')"
        cells = f"[...{row}.cells].slice(2).map(c => [...c.querySelectorAll('small')].at(-1).textContent)"
        return [text.partition(", ")[2] for text in browser.js(cells)]

    assert told("Top-1, short training")[:3] == [
        "better", "not comparable: digits against cifar10, 2 epochs against 8 epochs", "undecided: no interval",
    ]  # fmt: skip
    assert told("MACs") == ["better", "", "", "better, at 227 px against 224 px"]
    assert told("Throughput")[:2] == ["better", "not comparable: batch 8 against batch 64"]
    assert told("Peak memory")[:2] == ["undecided: no interval", "not comparable: batch 8 against batch 64"]
    clean(browser, file)


def test_layers_are_drawn_and_listed(opened: Tab) -> None:
    cells = opened.js(
        "[...document.querySelectorAll('#layers-view tbody tr')].map(r => [...r.cells].map(c => c.textContent))"
    )
    assert cells == [
        [plain(NASTY), "Conv2d", "64×8×8", "100", "5 kMAC", "16.4 kB", "7 px"],
        ["fc", "Linear", "10", "50", "50 MAC", "40 B", "–"],
    ]
    totals = opened.js(
        "[...document.querySelectorAll('#layers-view .controls .note')].map(n => n.textContent)"
    )
    assert totals == ["16.4 kB in all", "150 in all", "5.05 kMAC in all", "up to 7 px"]


def test_the_colours_are_light_or_dark_by_choice(opened: Tab) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    opened.click("#theme")
    light = opened.js(colour)
    opened.click("#theme")
    dark = opened.js(colour)
    assert (light, dark) == ("rgb(246, 247, 249)", "rgb(14, 17, 22)")
    opened.click("#theme")
    assert opened.js("document.documentElement.dataset.theme") is None


def test_on_paper_there_are_tables_and_charts_but_no_controls(opened: Tab) -> None:
    opened.call("Emulation.setEmulatedMedia", media="print")
    try:
        seen = "document.querySelector({!r}).checkVisibility()"
        assert not opened.js(seen.format(".bar"))
        assert not opened.js(seen.format(".tools"))
        assert opened.js(seen.format("#table-comparison"))
        assert opened.js(seen.format("#chart-scatter svg"))
        assert opened.call("Page.printToPDF", landscape=True)["data"].startswith("JVBERi")  # %PDF
    finally:
        opened.call("Emulation.setEmulatedMedia", media="")


@pytest.mark.parametrize("width", [80, 390, 820, 1440])
def test_tables_scroll_and_not_the_page(width: int, browser: Tab, page: Path) -> None:
    size = {"height": 844, "deviceScaleFactor": 1, "mobile": False}
    browser.call("Emulation.setDeviceMetricsOverride", width=width, **size)
    try:
        browser.open(page)
        browser.js("document.querySelectorAll('details').forEach(part => { part.open = true; }); 1")
        assert browser.js("document.documentElement.scrollWidth") == width
        clean(browser, page)
    finally:
        browser.call("Emulation.setDeviceMetricsOverride", width=1280, **size)


def test_a_command_in_a_sentence_is_not_broken_at_a_hyphen(browser: Tab, page: Path) -> None:
    """`--format` ended a line with its first hyphen."""
    size = {"height": 844, "deviceScaleFactor": 1, "mobile": False}
    lines = "[...document.querySelectorAll('p code')].map(code => code.getClientRects().length)"
    broken = []
    for width in (*range(650, 1000, 50), 1280):
        browser.call("Emulation.setDeviceMetricsOverride", width=width, **size)
        browser.open(page)
        broken += [count for count in browser.js(lines) if count > 1]
    assert broken == []


@pytest.mark.parametrize("width", [390, 1440])
def test_no_ball_is_cut_at_the_edge_of_its_chart(width: int, browser: Tab, tmp_path: Path) -> None:
    page = tmp_path / "index.html"  # the slowest and most accurate network is the largest one, too
    page.write_text(
        to_html(content_of(make_run(records(by_name("alexnet", "zfnet", "vgg19"))))), encoding="utf-8"
    )
    size = {"height": 844, "deviceScaleFactor": 1, "mobile": False}
    numbers = "(shape, keys) => keys.map(key => +shape.getAttribute(key))"
    outside = f"""(() => {{
        const read = {numbers}, plot = document.querySelector("#chart-scatter svg");
        const [x, y, width, height] = read(plot.querySelector("clipPath rect"), ["x", "y", "width", "height"]);
        const balls = [...plot.querySelectorAll("circle.ball")].map(ball => read(ball, ["cx", "cy", "r"]));
        return balls.map(([cx, cy, r]) => Math.max(x - cx + r, cx + r - x - width, y - cy + r, cy + r - y - height));
    }})()"""
    browser.call("Emulation.setDeviceMetricsOverride", width=width, **size)
    try:
        browser.open(page)
        beyond = browser.js(outside)
    finally:
        browser.call("Emulation.setDeviceMetricsOverride", width=1280, **size)
    assert len(beyond) == 3
    assert max(beyond) < 1  # px


def test_names_in_charts_do_not_touch_each_other_however_wide_their_letters(
    browser: Tab, tmp_path: Path
) -> None:
    page = tmp_path / "index.html"
    wide = [
        replace(net, name=f"mwmwmwmw_{net.name}_{i}", images_per_s=net.images_per_s * (1 + i / 4))
        for net in by_name("resnet18", "vgg16")
        for i in range(6)
    ]
    page.write_text(to_html(content_of(make_run(records(wide)))), encoding="utf-8")
    browser.open(page)
    names = browser.js("""[...document.querySelectorAll("#chart-scatter svg .label.mark, #chart-batch svg .label.mark")]
        .map(name => name.getBoundingClientRect()).map(r => [r.left, r.top + 2, r.right, r.bottom - 2])""")
    touching = [
        (a, b) for i, a in enumerate(names) for b in names[:i]
        if a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
    ]  # fmt: skip
    assert len(names) > 12
    assert touching == []


def test_a_phone_shows_all_of_the_table_of_budgets(browser: Tab, tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    nets = [replace(net, name=f"{net.name}_of_a_rather_long_name") for net in by_name("resnet18", "vgg16")]
    page.write_text(to_html(content_of(make_run(records(nets)))), encoding="utf-8")
    size = {"height": 844, "deviceScaleFactor": 1, "mobile": False}
    browser.call("Emulation.setDeviceMetricsOverride", width=390, **size)
    try:
        browser.open(page)
        beyond = browser.js("""[...document.querySelectorAll('[id^="table-picks"] :is(th, td)')]
            .map(cell => cell.getBoundingClientRect().right - cell.closest(".scroll").getBoundingClientRect().right)""")
        cut = browser.js("""[...document.querySelectorAll('[id^="table-picks"] :is(th, td, button)')]
            .filter(cell => cell.scrollWidth > cell.clientWidth + 1).length""")
    finally:
        browser.call("Emulation.setDeviceMetricsOverride", width=1280, **size)
    assert max(beyond) <= 0
    assert cut == 0


def test_a_race_says_at_each_mark_why_it_is_not_the_choice(browser: Tab, tmp_path: Path) -> None:
    file = tmp_path / "race.html"
    file.write_text(to_html(content_of_kind("race", tmp_path)), encoding="utf-8")
    browser.open(file)
    chart = "document.querySelector('#chart-race-0 svg')"
    pale = f"[...{chart}.querySelectorAll('.mark.pale')].map(m => m.dataset.network)"
    assert browser.js(pale) == ["resnet50"]  # never measured
    assert browser.js(f"{chart}.querySelectorAll('.budget').length") == 1
    assert browser.js(f"{chart}.querySelectorAll('.chosen').length") == 1
    read = browser.js(f"{chart}.closest('.chart').querySelector('figcaption').textContent")
    assert "The ring is the choice: vgg16." in read
    browser.js(f"{chart}.focus()")
    told = []
    for _ in range(5):
        browser.key("ArrowRight")
        told.append(browser.js("document.querySelector('#tip').innerText"))
    assert "Why the choice" in told[0]
    assert "Latency 10.0 ms (9.5 – 10.5)" in told[0]  # with the digits of a table
    assert "Expected (95 %) 45.0 ms – 55.0 ms" in told[-1]
    assert "Why never measured" in told[-1]
    clean(browser, file)


def test_the_choice_of_a_race_has_its_name_where_there_is_no_room_for_all(
    browser: Tab, tmp_path: Path
) -> None:
    kept, names = race(NETS[:9]), [net.name for net in NETS[:9]]
    for i, row in enumerate(kept["networks"]):
        row |= {
            "cost": 0.02 + i / 1e6,
            "cost_low": 0.01,
            "cost_high": 0.03,
            "accuracy": 0.6,
            "on_front": True,
        }
    run = make_run(records(NETS[:9]))
    for best in (names[0], names[4], names[7]):
        file = tmp_path / f"{best}.html"
        raced = replace(run, info={**run.info, "race": {**kept, "best": best}})
        file.write_text(to_html(content_of(raced)), encoding="utf-8")
        browser.open(file)
        labels = browser.js(
            "[...document.querySelectorAll('#chart-race-0 .label.mark')].map(e => e.textContent)"
        )
        assert best in labels
        assert len(labels) < 8


def test_strips_of_layers_have_letters_as_large_on_a_phone(browser: Tab, page: Path) -> None:
    """They shrank with the picture, to a half."""
    size = {"height": 844, "deviceScaleFactor": 1, "mobile": False}
    strip, scales = "document.querySelector('.strips svg')", []
    for width in (390, 820, 1280):
        browser.call("Emulation.setDeviceMetricsOverride", width=width, **size)
        browser.open(page)
        scales.append(browser.js(f"{strip}.getBoundingClientRect().width / {strip}.viewBox.baseVal.width"))
    assert scales == pytest.approx([1, 1, 1], abs=0.1)


def test_networks_of_ones_own_stand_out_in_every_chart(browser: Tab, tmp_path: Path) -> None:
    file = tmp_path / "own.html"
    file.write_text(to_html(content_of_kind("own", tmp_path)), encoding="utf-8")
    browser.open(file)
    own = "[...document.querySelectorAll('.own')]"
    assert browser.js(f"[...new Set({own}.map(e => e.dataset.network))]") == ["my_net.py:Net"]
    places = browser.js(f"[...new Set({own}.map(e => e.closest('table, .plot-host').id))]")
    charts = {"chart-scatter", "chart-ranking", "chart-batch", "chart-curves"}
    assert set(places) >= {"table-comparison", *charts}
    clean(browser, file)


def test_a_number_that_is_hardly_known_leaves_the_others_their_room(browser: Tab, tmp_path: Path) -> None:
    """Of latencies from 1 to 4 ms one lies between 1 µs and 1 s: the axis goes from an eighth to eight times theirs."""
    file = tmp_path / "axes.html"
    script = (_TEMPLATES / "script" / "axes.js").read_text(encoding="utf-8")
    file.write_text(f"<!doctype html><title>x</title><script>{script}</script>", encoding="utf-8")
    browser.open(file)
    ends = browser.js("reached([1e-3, 4e-3], [1e-6, 1], true)")
    assert ends == pytest.approx([1e-3, 4e-3, 0.125e-3, 32e-3])
    assert browser.js("reached([2, 4], [-100, 3, 100], false)") == [2, 4, -1, 3, 7]
    two = [53, 54, 50, 54, 48, 56]  # whose intervals are wider than what they differ by: nothing is cut off
    assert browser.js(f"reached({two[:2]}, {two[2:]}, false)") == two
    assert browser.js("reached([], [3], true)") == []
    assert browser.js("Math.abs(axis([1, 10], [0, 100], true, 5).at(0))") == 1e5


def test_a_chart_writes_numbers_as_tables_do(browser: Tab, tmp_path: Path) -> None:
    file = tmp_path / "format.html"
    script = (_TEMPLATES / "script" / "format.js").read_text(encoding="utf-8")
    scales = json.dumps({"scales": content_of(make_run([])).data["scales"]})
    file.write_text(
        f"<!doctype html><title>x</title><script>const DATA = {scales};{script}</script>", "utf-8"
    )
    browser.open(file)
    values = [9.994, 9.996, 0.09996, 99.96, 999.6, 0.5, 12_345.0]
    assert browser.js(f"{values}.map(v => digits(v))") == [significant(value) for value in values]
    rates = [(18_400.0, 18_350.0, 18_620.0), (5.27, 2.6, 6.8), (46.2, 45.1, 47.3)]
    whole = "([v, ...ends]) => `${shown(v, '1/s', digitsFor(v, ends))} (${between(ends, v, '1/s')})`"
    images = Scale(1.0, "images/s")
    assert browser.js(f"{json.dumps(rates)}.map({whole})") == [ranged(*rate, images) for rate in rates]


def test_below_a_table_are_the_footnotes_of_the_columns_that_are_shown(browser: Tab, tmp_path: Path) -> None:
    file = tmp_path / "notes.html"
    script = (_TEMPLATES / "script" / "tables.js").read_text(encoding="utf-8")
    table = "<table id=t><tr><td><sup>a</sup><td><sup>a,b</sup></table>"
    notes = "<p data-footnotes=t><span data-letter=a>a</span><span data-letter=b>b</span></p>"
    file.write_text(
        f"<!doctype html><title>x</title>{table}{notes}<script>{script}</script>", encoding="utf-8"
    )
    browser.open(file)
    seen = "(footnotes(t), [...document.querySelectorAll('span:not([hidden])')].map(s => s.textContent))"
    assert browser.js(seen) == ["a", "b"]
    assert browser.js(f"(t.rows[0].cells[1].hidden = true, {seen})") == ["a"]


def test_hostile_texts_are_shown_as_text(browser: Tab, tmp_path: Path) -> None:
    nets = [replace(NETS[i], name=text, family=text) for i, text in enumerate(HOSTILE)]
    run = make_run(records(nets, backend=HOSTILE[1], dataset=HOSTILE[0]), name=HOSTILE[0])
    file = tmp_path / "hostile.html"
    for runs in ([run], [doubtful_run()]):
        file.write_text(to_html(content_of(*runs, title=HOSTILE[1])), encoding="utf-8")
        browser.open(file)
        clean(browser, file)
        assert browser.js("document.querySelectorAll('script').length") == 2
        assert browser.js("document.querySelectorAll('main img').length") == 0
        assert browser.js("document.documentElement.scrollWidth") <= 1280
    browser.open(file)
    assert browser.js("document.title") == plain(HOSTILE[1])
    assert plain(NASTY) in browser.js(ROWS + NAMES)


def test_a_long_table_shows_its_first_rows_until_all_are_asked_for(browser: Tab, tmp_path: Path) -> None:
    nets = [replace(NETS[i % len(NETS)], name=f"net{i}") for i in range(200)]
    file = tmp_path / "long.html"
    file.write_text(
        to_html(content_of(make_run([record(job(n), n, counted(n)) for n in nets]))), encoding="utf-8"
    )
    browser.open(file)
    assert browser.js(f"{VISIBLE}.length") == 150
    browser.click("#table-comparison th:nth-child(5) button")
    assert browser.js(f"{VISIBLE}.length") == 150
    least = browser.js(f"{VISIBLE}{NAMES}")[0]
    assert int(least.removeprefix("net")) % len(NETS) == 0  # lenet5 has the fewest parameters
    browser.click("[data-lengthen='table-comparison']")
    assert browser.js(f"{VISIBLE}.length") == 200
    clean(browser, file)


def test_a_report_of_nothing_has_nothing_to_complain_of(browser: Tab, tmp_path: Path) -> None:
    for number, runs in enumerate(([], [make_run([])], [make_run(list(records(NETS[:1]))[:1])])):
        file = tmp_path / f"{number}.html"
        file.write_text(to_html(content_of(*runs)), encoding="utf-8")
        browser.open(file)
        clean(browser, file)


def test_a_phone_breaks_names_behind_their_marks_and_copies_them_whole(browser: Tab, tmp_path: Path) -> None:
    names = ["torchvision:mobilenet_v3_large", "my_networks.py:Net(width=128)", "efficientnet_v2_s"]
    page = tmp_path / "index.html"
    nets = [replace(net, name=name) for net, name in zip(NETS, names, strict=False)]
    page.write_text(to_html(content_of(make_run(records(nets)))), encoding="utf-8")
    size = {"height": 844, "deviceScaleFactor": 1, "mobile": False}
    browser.call("Emulation.setDeviceMetricsOverride", width=390, **size)
    try:
        browser.open(page)
        names_in_cells = 'tbody th bdi, [id^="table-picks"] td bdi'
        ends = browser.js(
            f"[...document.querySelectorAll('{names_in_cells}')]"
            + """.flatMap(name => {
            const nodes = [...name.childNodes].filter(node => node.nodeType === Node.TEXT_NODE);
            const letters = nodes.flatMap(node => [...node.data].map((letter, i) => {
                const range = document.createRange();
                range.setStart(node, i); range.setEnd(node, i + 1);
                return [letter, range.getBoundingClientRect().top];
            }));
            return letters.filter(([, top], i) => letters[i + 1]?.[1] > top + 2).map(([letter]) => letter);
        })"""
        )
        copied = browser.js(f"{ROWS}.map(row => row.cells[0].querySelector('bdi').textContent)")
    finally:
        browser.call("Emulation.setDeviceMetricsOverride", width=1280, **size)
    assert ends
    assert set(ends) <= set("_:.,( ")
    assert sorted(copied) == sorted(names)


def test_long_names_that_differ_at_their_ends_are_told_apart(browser: Tab, tmp_path: Path) -> None:
    names = [f"{'a_very_long_name_' * 3}of_a_file.py:TheNetwork(depth={depth})" for depth in (3, 4)]
    nets = [replace(NETS[i], name=name) for i, name in enumerate(names)]
    file = tmp_path / "named.html"
    file.write_text(to_html(content_of(make_run(records(nets)))), encoding="utf-8")
    browser.open(file)
    whole = "e.scrollWidth <= e.parentElement.clientWidth"
    assert browser.js(f"{ROWS}.map(row => row.cells[0].querySelector('bdi')).every(e => {whole})")
    assert browser.js(
        "[...document.querySelectorAll('.plot .name')].map(e => Math.min(0, e.getBBox().x))"
    ) == [0, 0]
    shown = browser.js(
        "[...document.querySelectorAll('#chart-ranking .name, #chart-scatter .label')].map(e => e.textContent)"
    )
    assert len(shown) == 4
    assert {text[-8:] for text in shown} == {"depth=3)", "depth=4)"}
    clean(browser, file)
