// The charts: two quantities against each other, one quantity ranked, throughput by batch size, curves of trainings.
const QUANTITIES = DATA.quantities;
// Accuracies and costs stand against each other where both are of one shape of images: see `shapes` of the rows.
const together = (row, ...keys) => {
  const places = keys.map(key => QUANTITIES[key]?.shape ?? null).filter(place => place !== null);
  return new Set(places.map(place => row.shapes[place])).size < 2;
};
const compares = (row, x, y) => x in row.values && y in row.values && together(row, x, y);
const compared = (x, y) => x in QUANTITIES && y in QUANTITIES && DATA.rows.filter(row => compares(row, x, y)).length > 1;
const COSTS = ["macs", "latency", "throughput", "peak_memory"];
const accuracyOf = DATA.front?.[1] ?? ["published_top1", "accuracy"].find(key => COSTS.some(cost => compared(cost, key))) ?? "accuracy";
const PRESETS = [ // title, x, y, logarithmic x, logarithmic y
  ...(DATA.front ? [["The answer", ...DATA.front, true, false]] : []),
  [`${accuracyOf === "accuracy" ? "Accuracy" : "Published accuracy"} against MACs`, "macs", accuracyOf, true, false],
  ...(compared("macs", "accuracy") ? [] : [["Accuracy against MACs as trained", "trained_macs", "accuracy", true, false]]),
  ["Accuracy against throughput", "throughput", accuracyOf, true, false],
  ["Accuracy against latency", "latency", accuracyOf, true, false],
  ["Accuracy against memory of tensors", "tensor_memory", accuracyOf, true, false],
  ["Accuracy against peak memory", "peak_memory", accuracyOf, true, false],
  ["Accuracy against energy", "energy", accuracyOf, true, false],
  ["Throughput against MACs", "macs", "throughput", true, true],
  ["Throughput by intensity", "intensity", "throughput", true, true],
  ["Timeline", "year", "published_top5", false, false],
  ["Accuracy by receptive field", "receptive_field", "accuracy", false, false],
];
const has = key => key in QUANTITIES;
const names = Object.entries(QUANTITIES).filter(([key]) => DATA.rows.some(row => key in row.values)).map(([key, quantity]) => [key, quantity.title]);

// All of a row, as the table has it.
function rowTip(number) {
  const row = find(`#table-comparison [data-row="${number}"]`);
  const heads = [...row.closest("table").tHead.rows[0].cells].map(headText);
  const cells = [...row.cells].map(cellText);
  const { label } = DATA.rows[number];
  const lines = heads.map((head, i) => [head, cells[i]]).filter(([, text], i) => text !== "–" && (i || !label.startsWith(text)));
  return [[label], ...lines];
}

function panel(host, id, title) {
  const head = make("div", { class: "controls" }, make("h3", {}, title));
  const body = make("div", { class: "plot-host", id });
  host.append(make("figure", { class: "chart" }, head, body));
  return [head, body];
}
const scaleBox = (name, on, act) => {
  const box = make("input", { type: "checkbox" });
  box.checked = on;
  box.addEventListener("change", () => act(box.checked));
  return [make("label", { class: "choice tick-box" }, box, make("span", {}, name)), box];
};

// The best of one quantity for each value of the other, from the cheapest on; what is in doubt is no rival. It is of the
// largest group of networks that compare: of one input size, measured on one machine, tested or trained alike.
function paretoFront(points, x, y) {
  if (QUANTITIES[x].better === "neither" || QUANTITIES[y].better === "neither") return [];
  const keys = [x, y].flatMap(key => [...QUANTITIES[key].within, ...QUANTITIES[key].at]), groups = new Map();
  for (const point of points) {
    const { settings } = DATA.rows[point.numbers[0]], group = keys.map(key => settings[key] ?? "").join("\n");
    groups.set(group, [...(groups.get(group) ?? []), point]);
  }
  points = [...groups.values()].reduce((a, b) => (b.length > a.length ? b : a), []);
  const [sx, sy] = [x, y].map(key => (QUANTITIES[key].better === "lower" ? 1 : -1));
  let best = Infinity;
  return points.filter(p => !p.doubted).sort((a, b) => sx * (a.x - b.x) || sy * (a.y - b.y)).filter(p => {
    const better = sy * p.y < best;
    if (better) best = sy * p.y;
    return better;
  });
}

// One point for all rows of a network that lie upon each other, such as counts under several settings.
function merged(rows, x, y) {
  const points = new Map();
  for (const { row, number } of rows) {
    const key = [row.network, row.values[x], row.values[y]].join("\n");
    const point = points.get(key);
    if (point) point.numbers.push(number);
    else {
      points.set(key, { x: row.values[x], y: row.values[y], doubted: Boolean(row.doubts[x] || row.doubts[y]), across: row.ends[x], up: row.ends[y], network: row.network, family: row.family, numbers: [number] });
    }
  }
  return [...points.values()].map(point => {
    const alone = point.numbers.length === 1;
    const first = DATA.rows[point.numbers[0]];
    const values = [x, y].map(key => [QUANTITIES[key].title, told(first, key)]);
    const tell = () => (alone ? rowTip(point.numbers[0]) : [[point.network], ...values, ["Rows here", String(point.numbers.length)]]);
    return { ...point, label: alone ? DATA.rows[point.numbers[0]].label : point.network, tip: tell };
  });
}

// Whether published accuracies among some quantities were not all tested in the same way.
function severalWays(points, keys) {
  const ways = points.flatMap(p => p.numbers.map(number => DATA.rows[number].settings.published_protocol));
  return keys.some(key => key.startsWith("published_top")) && new Set(ways).size > 1;
}

function scatter(host) {
  if (DATA.axes.length < 2) return;
  const presets = PRESETS.filter(([, x, y]) => compared(x, y));
  const pairs = DATA.axes.flatMap((one, i) => DATA.axes.slice(i + 1).map(other => [one, other]));
  const [, x, y, logX, logY] = presets[0] ?? ["", ...(pairs.find(pair => compared(...pair)) ?? pairs[0]), false, false];
  const chosen = { x, y, logX, logY, size: has("parameters") ? "parameters" : "" };
  const note = make("figcaption");
  const [head, body] = panel(host, "chart-scatter", "One against another");
  const content = () => {
    const rows = DATA.rows.map((row, number) => ({ row, number })).filter(({ row, number }) =>
      shownRow(row, number) && compares(row, chosen.x, chosen.y));
    const points = merged(rows, chosen.x, chosen.y);
    const sizes = points.map(p => DATA.rows[p.numbers[0]].values[chosen.size] ?? 0), largest = Math.max(...sizes), room = body.clientWidth < 500 ? 12 : 22;
    points.forEach((point, i) => { point.ball = sizes[i] > 0 ? 6 + room * Math.sqrt(sizes[i] / largest) : 0; });
    const front = paretoFront(points, chosen.x, chosen.y);
    note.textContent = sentences([
      front.length > 1 ? "The dashed line joins the Pareto front of the largest group that compares (one input size and machine, tested or trained alike): by the values drawn, what nothing else of it beats in both; where bars overlap, that is not decided." : "",
      points.some(p => p.ball) ? `Areas of the pale balls are in proportion to: ${QUANTITIES[chosen.size].title}.` : "",
      severalWays(points, [chosen.x, chosen.y]) ? "Published accuracies were tested in several ways, on 1 crop up to several scales, as the table says: they do not compare across these." : "",
      points.some(p => p.up || p.across) ? "Bars are 95 % intervals." : "",
      points.some(p => p.doubted) ? "Hollow marks are in doubt, and on no front." : "",
      DATA.rows.some(row => chosen.x in row.values && chosen.y in row.values && !together(row, chosen.x, chosen.y)) ? "Networks are left out whose two numbers are of images of different shapes: an accuracy stands against costs at the size that it was trained or published for." : "",
    ]);
    return {
      title: "One quantity against another", points, lines: [], front,
      x: { ...QUANTITIES[chosen.x], log: chosen.logX }, y: { ...QUANTITIES[chosen.y], log: chosen.logY },
    };
  };
  const change = (key, value) => { chosen[key] = value; if (key !== "size") find("select", presetBox).value = ""; again(); };
  const [boxX, inX] = scaleBox("log", chosen.logX, v => change("logX", v));
  const [boxY, inY] = scaleBox("log", chosen.logY, v => change("logY", v));
  const across = select("Across", names, chosen.x, v => change("x", v));
  const up = select("Up", names, chosen.y, v => change("y", v));
  const views = presets.map(([title], i) => [String(i), title]);
  const go = i => {
    const [, px, py, lx, ly] = presets[+i];
    Object.assign(chosen, { x: px, y: py, logX: lx, logY: ly });
    [find("select", across).value, find("select", up).value, inX.checked, inY.checked] = [px, py, lx, ly];
    again();
  };
  const presetBox = select("View", [...views, ["", "own choice"]], views.length ? "0" : "", i => { if (i !== "") go(i); });
  if (views.length > 1) head.append(presetBox);
  head.append(across, boxX, up, boxY, select("Size", [["", "all alike"], ...names], chosen.size, v => change("size", v)));
  body.after(note);
  const again = plot(body, content, 460);
}

const doubtNote = doubts => {
  const why = [...new Set(doubts.filter(Boolean).flatMap(text => text.split(", ")))];
  return why.length ? `† in doubt: ${why.join(", ")}.` : "";
};

// One quantity, a line a row, with intervals; of many rows, the best.
function ranking(host) {
  if (!names.length) return;
  const most = 60;
  const first = ["latency", "throughput", "accuracy", "macs", names[0][0]].find(has);
  const chosen = { key: first, log: QUANTITIES[first].unit !== "%" };
  const [head, body] = panel(host, "chart-ranking", "One by one");
  const note = make("figcaption");
  const render = () => {
    const { better, unit, title } = QUANTITIES[chosen.key];
    const sign = better === "higher" ? -1 : 1;
    const rows = DATA.rows.map((row, number) => ({ row, number, value: row.values[chosen.key] }))
      .filter(r => r.value !== undefined && shownRow(r.row, r.number) && (!chosen.log || r.value > 0))
      .sort((a, b) => sign * (a.value - b.value));
    const shownNow = [...rows.slice(0, most), ...rows.slice(most).filter(r => isOwn(r.row))];
    if (!shownNow.length) {
      body.replaceChildren(make("p", { class: "empty" }, NOTHING));
      note.textContent = "";
      return;
    }
    const width = Math.max(300, body.clientWidth || 640), step = 22, left = Math.min(210, width * 0.38);
    const text = r => told(r.row, chosen.key) + (r.row.doubts[chosen.key] ? " †" : "");
    const longest = Math.max(4, ...shownNow.map(r => text(r).length));
    const box = { left, right: width - 16 - 7 * longest, top: 8, bottom: 8 + step * Math.max(1, shownNow.length) };
    const values = reached(shownNow.map(r => r.value), shownNow.flatMap(r => r.row.ends[chosen.key] ?? []), chosen.log);
    const x = axis(extent(chosen.log ? values : [0, ...values], chosen.log), [box.left, box.right], chosen.log, Math.max(3, Math.floor((box.right - left) / 110)), QUANTITIES[chosen.key].whole);
    const image = draw("svg", { class: "plot", viewBox: `0 0 ${width} ${box.bottom + 48}`, role: "img", "aria-label": `${title} of ${shownNow.length} rows, sorted: ${shownNow.slice(0, 5).map(r => `${r.row.label} ${text(r)}`).join(", ")}. The numbers are in the table.` });
    image.append(...rulers(x, { ticks: [], at: v => v }, box, { x: { title, unit }, y: { title: "", unit: "" } }));
    shownNow.forEach((ranked, i) => {
      const { row, number, value } = ranked;
      const at = box.top + step * (i + 0.5), colour = colourOf(row.family);
      const [low, high] = (row.ends[chosen.key] ?? [value, value]).map(end => Math.max(box.left, Math.min(box.right, x.at(end))));
      const mark = draw("g", { class: "mark row", "data-network": row.network },
        draw("rect", { class: "hit", x: 0, y: at - step / 2, width, height: step }),
        draw("text", { class: "tick name", x: left - 10, y: at + 4, "text-anchor": "end" }, fitted(row.label, 0.94 * (left - 12), isOwn(row))),
        draw("path", { class: "stem", d: path([[box.left, at], [x.at(value), at]]), stroke: colour }),
        draw("path", { class: "interval", d: path([[low, at], [high, at]]), stroke: colour }),
        shape(markerOf(row.family), x.at(value), at, 4.5, row.doubts[chosen.key] ? { color: colour, class: "dot hollow" } : { fill: colour, class: "dot" }),
        draw("text", { class: "tick", x: Math.max(high, x.at(value)) + 9, y: at + 4 }, text(ranked)));
      mark.addEventListener("pointermove", event => showTip(rowTip(number), event.clientX, event.clientY));
      mark.addEventListener("pointerleave", hideTip);
      mark.addEventListener("click", () => highlight(row.network));
      image.append(mark);
    });
    body.replaceChildren(image);
    note.textContent = sentences([
      rows.length > most ? `The best ${most} of ${rows.length} rows; the filter of the table chooses others.` : "",
      shownNow.some(r => r.row.ends[chosen.key]) ? "Bars over the marks are 95 % intervals." : "",
      doubtNote(shownNow.map(r => r.row.doubts[chosen.key])),
    ]);
    paint(image);
  };
  const [logBox] = scaleBox("log", chosen.log, v => { chosen.log = v; render(); });
  head.append(select("Quantity", names, chosen.key, v => { chosen.key = v; render(); }), logBox);
  body.after(note);
  redraws.push(render);
  render();
  return render;
}

function byBatch(host) {
  if (!DATA.batches.length) return;
  const measured = DATA.batches.map(line => ({ ...DATA.rows[line.row], ...line }));
  const tasks = [...new Set(DATA.batches.map(line => line.task))];
  const chosen = { task: tasks[0], log: true };
  const [head, body] = panel(host, "chart-batch", "Throughput by batch size"), note = make("figcaption");
  body.after(note);
  const again = plot(body, () => ({
    title: "Throughput by batch size", points: [], x: { title: "Batch", unit: "", log: true, steps: DATA.batches.flatMap(line => line.points.map(p => p[0])) }, y: { title: "Throughput", unit: "1/s", log: chosen.log },
    lines: dashed(few(measured.filter(line => line.task === chosen.task && shownRow(line, line.row)), note)).map(line => ({
      ...line, tip: ([batch, rate, ...ends]) => [[line.label], ["Batch", String(batch)], ["Throughput", shown(rate, "1/s", digitsFor(rate, ends))],
        ...(ends.includes(null) ? [] : [["95 % interval", between(ends, rate, "1/s")]])],
    })),
  }));
  if (tasks.length > 1) head.append(select("Of", tasks.map(t => [t, t]), chosen.task, v => { chosen.task = v; again(); }));
  head.append(scaleBox("log", chosen.log, v => { chosen.log = v; again(); })[0]);
}

function curves(host) {
  if (!host || !DATA.curves.length) return;
  const metrics = [...new Set(DATA.curves.map(c => c.metric))], whats = [...new Set(DATA.curves.map(c => c.what))];
  const longest = DATA.curves.reduce((a, b) => (b.points.length > a.points.length ? b : a));
  const chosen = { metric: longest.metric, what: whats[0], log: false };
  const [head, body] = panel(host, "chart-curves", "Curves"), note = make("figcaption");
  body.after(note);
  const again = plot(body, () => {
    const left = new Set(DATA.rows.filter(shownRow).map(row => row.network));
    const lines = dashed(few(DATA.curves.filter(c => c.metric === chosen.metric && c.what === chosen.what && left.has(c.network)), note));
    return {
      title: `${chosen.metric} by epoch`, points: [], x: { title: "Epoch", unit: "", log: false, steps: lines.flatMap(line => line.points.map(p => p[0])) }, y: { title: chosen.metric, unit: lines[0]?.unit ?? "", log: chosen.log },
      lines: lines.map(line => ({
        ...line, tip: ([epoch, mean, low, high]) => [[line.label], ["Epoch", String(epoch)], [line.metric, shown(mean, line.unit)],
          ...(line.seeds > 1 ? [["Seeds", `${line.seeds}, ${shown(low, line.unit)} – ${shown(high, line.unit)}`]] : [])],
      })),
    };
  });
  head.append(select("Quantity", metrics.map(m => [m, m]), chosen.metric, v => { chosen.metric = v; again(); }));
  if (whats.length > 1) head.append(select("Trained on", whats.map(w => [w, w]), chosen.what, v => { chosen.what = v; again(); }));
  head.append(scaleBox("log", chosen.log, v => { chosen.log = v; again(); })[0]);
}

// Of very many lines the first, since nobody tells more apart.
const MOST_LINES = 60;
const few = (lines, note) => {
  note.textContent = lines.length > MOST_LINES ? `The first ${MOST_LINES} of ${lines.length} lines; the filter of the table chooses others.` : "";
  return ownFirst(lines).slice(0, MOST_LINES);
};

// Lines of one colour differ in their dashes and their markers.
const DASHES = [undefined, "7 3", "2 3", "9 3 2 3", "14 4", "5 2 1 2 1 2"];
function dashed(lines) {
  const seen = new Map();
  return lines.map(line => {
    const colour = colourOf(line.family), before = seen.get(colour) ?? 0;
    seen.set(colour, before + 1);
    const kinds = Object.keys(SHAPES).filter(kind => kind !== "*"), own = kinds.indexOf(markerOf(line.family)); // the star is for one's own
    return { ...line, dash: DASHES[before % DASHES.length], marker: own < 0 ? markerOf(line.family) : kinds[(own + before) % kinds.length] };
  });
}

function legend(host) {
  if (!host) return;
  for (const [family, [colour, marker]] of Object.entries(DATA.families)) {
    const image = draw("svg", { viewBox: "-8 -8 16 16", width: 16, height: 16, "aria-hidden": "true" }, shape(marker, 0, 0, 5, { fill: colour }));
    const made = button("", () => {
      const hide = !hiddenFamilies.delete(family);
      if (hide) hiddenFamilies.add(family);
      made.setAttribute("aria-pressed", String(!hide));
      redraw();
    }, { "aria-pressed": "true" });
    made.append(image, make("bdi", {}, family));
    host.append(made);
  }
}
