"""The page of 10,000 records in Chromium: its size, until it is ready, and a filter, in CPU time of its main thread.

At most 10 MB and 100 ms a filter are promised, also where each record is a row of its own, as of networks that were
counted alone.

python tests/benchmarks/page.py
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from browser import Tab, tab  # noqa: E402
from make_records import NETS, Net, counted, job, make_run, record, records  # noqa: E402

from bench.records.record import Record  # noqa: E402
from bench.report.page._html import to_html  # noqa: E402
from reports import content_of  # noqa: E402

RECORDS = 10_000
WORDS = ("resnet", "v12", "vgg v3", "", "no such network", "19")
TYPED = (
    "(word => { const box = document.querySelector('[data-filter]'); box.value = word;"
    " box.dispatchEvent(new Event('input')); document.body.offsetHeight; return 1; })"
)


def _names() -> Iterator[Net]:
    for i in range(RECORDS):
        net = NETS[i % len(NETS)]
        yield replace(net, name=f"{net.name}_v{i // len(NETS)}", mmacs=net.mmacs * (1 + i / RECORDS))


def _measured() -> list[Record]:
    """Return records of networks that were counted, timed and trained, seven each."""
    return list(islice(records(_names()), RECORDS))


def _counted() -> list[Record]:
    """Return records of networks that were counted alone: each a row of the table."""
    return [record(job(net), net, counted(net)) for net in _names()]


def _busy(browser: Tab) -> float:
    """Return the CPU seconds of the page's main thread so far."""
    metrics = browser.call("Performance.getMetrics")["metrics"]
    return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, tab(Path(folder) / "profile") as browser:
        browser.call("Performance.enable", timeDomain="threadTicks")
        for name, made in (("measured", _measured), ("counted", _counted)):
            file = Path(folder) / f"{name}.html"
            content = content_of(make_run(made()))
            file.write_text(to_html(content), encoding="utf-8")
            browser.open(file)
            ready = _busy(browser)  # which begins anew with a page
            spent = []
            for word in WORDS * 3:
                before = _busy(browser)
                browser.js(f"{TYPED}({word!r})")
                spent.append(_busy(browser) - before)
                browser.js("new Promise(go => setTimeout(go, 700))")  # the charts follow
            print(
                f"{RECORDS:,} records of networks that were {name}: {len(content.table.rows):,} rows, "
                f"{file.stat().st_size / 1e6:.1f} MB, ready after {ready:.2f} s, a filter "
                f"{1e3 * median(spent):.0f} ms (at most {1e3 * max(spent):.0f})"
            )


if __name__ == "__main__":
    main()
