// One chart: points and lines over two axes, with a readout, enlarging, and the keyboard.
const SHAPES = { // of radius 1, as paths
  o: "M-1 0A1 1 0 1 1 1 0A1 1 0 1 1-1 0Z", s: "M-.9-.9H.9V.9H-.9Z", "^": "M0-1.1 1.05.8H-1.05Z", v: "M0 1.1 1.05-.8H-1.05Z",
  D: "M0-1.2 1.2 0 0 1.2-1.2 0Z", "<": "M-1.1 0 .8-1.05V1.05Z", ">": "M1.1 0-.8-1.05V1.05Z",
  P: "M-.4-1.1H.4V-.4H1.1V.4H.4V1.1H-.4V.4H-1.1V-.4H-.4Z", p: "M0-1.1 1.05-.34.65.9H-.65L-1.05-.34Z",
  "*": "M0-1.35 .33-.45 1.28-.42 .53.17 .79 1.09 0 .56-.79 1.09-.53.17-1.28-.42-.33-.45Z",
  h: "M0-1.1.95-.55V.55L0 1.1-.95.55V-.55Z", X: "M-1-.5-.5-1 0-.5.5-1 1-.5.5 0 1 .5.5 1 0 .5-.5 1-1 .5-.5 0Z",
};
const shape = (marker, x, y, r, more) => draw("path", {
  d: SHAPES[marker] ?? SHAPES.o, transform: `translate(${x.toFixed(1)} ${y.toFixed(1)}) scale(${r.toFixed(2)})`, ...more,
});
// Of a name with settings behind it only the name is cut; the end of a long one tells most.
const brief = (text, most) => {
  const [first, ...settings] = text.split(" · "), all = settings.map(s => " · " + s).join("");
  const [name, rest] = all.length + 8 > most ? [text, ""] : [first, all];
  const letters = [...name], room = most - [...rest].length, head = Math.floor(room / 3);
  return (letters.length > room ? letters.slice(0, head).join("") + "…" + letters.slice(1 + head - room).join("") : name) + rest;
};
const pen = document.createElement("canvas").getContext("2d"), face = getComputedStyle(document.body).fontFamily;
const widthOf = (text, bold) => { // of a name in a chart, with the rim around it
  pen.font = `${bold ? 700 : 400} 11px ${face}`;
  return pen.measureText(text).width + 3;
};
const fitted = (text, room, bold) => { // as many of its letters as fit
  let most = [...text].length;
  while (most > 9 && widthOf(brief(text, most), bold) > room) most--;
  return brief(text, most);
};
const choosable = name => brief(name, name.length > 40 ? 24 : 40); // a closed box shows so many letters of its choice
const longest = width => Math.min(26, Math.floor(width / 24)); // letters of a name at the end of a line
const path = (points, close) => "M" + points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L") + (close ? "Z" : "");

// content(): {title, x, y, points, lines, front, rules}; x and y: {title, unit, log}. A point: x, y, across and up (the
// ends of its intervals), network, family or colour and marker, label, tip. A line: points [x, y, low, high], network,
// family, label, tip(point). A rule is upright: at, colour, text.
function plot(host, content, height = 380) {
  const image = draw("svg", { class: "plot", tabindex: "0", role: "group" });
  let view = null, whole = null, marks = [], frame = null, focus = -1;
  const reset = () => { view = null; render(); };
  host.previousElementSibling.append(make("div", { class: "zoom" }, button("+", () => zoom(0.6), { "aria-label": "Enlarge" }),
    button("−", () => zoom(1 / 0.6), { "aria-label": "Make smaller" }), button("All", reset, { "aria-label": "Show all" })));
  host.append(image);

  function render() {
    const shownNow = content();
    const width = Math.max(300, host.clientWidth || 640);
    const named = Math.max(0, ...shownNow.lines.map(line => widthOf(brief(line.label, longest(width)), isOwn(line))));
    const box = { left: 60, right: width - (named ? 22 + named : 14), top: 14, bottom: height - 46 };
    image.setAttribute("viewBox", `0 0 ${width} ${height}`);
    image.setAttribute("aria-label", `${shownNow.title}: ${titled(shownNow.y)} over ${titled(shownNow.x)}. Arrow keys read the marks.`);
    const flat = shownNow.lines.flatMap(l => l.points), rules = shownNow.rules ?? [];
    const fits = (v, log) => Number.isFinite(v) && (!log || v > 0);
    const points = shownNow.points.filter(p => fits(p.x, shownNow.x.log) && fits(p.y, shownNow.y.log));
    marks = [];
    if (!points.length && !flat.length) {
      frame = null;
      image.replaceChildren(draw("text", { class: "none", x: width / 2, y: height / 2 }, NOTHING));
      return;
    }
    if (view === null) whole = view = {
      x: extent(reached([...points.map(p => p.x), ...flat.map(p => p[0]), ...rules.map(r => r.at)], points.flatMap(p => p.across ?? []), shownNow.x.log), shownNow.x.log),
      y: extent(reached([...points.map(p => p.y), ...flat.map(p => p[1])], [...points.flatMap(p => p.up ?? []), ...flat.flatMap(p => p.slice(2))], shownNow.y.log), shownNow.y.log),
    };
    const y = axis(view.y, [box.bottom, box.top], shownNow.y.log, 6, shownNow.y.whole);
    box.left = Math.max(box.left, 34 + 6.8 * Math.max(...tickTexts(y.ticks, shownNow.y.unit, y.log).map(text => text.length)));
    const x = axis(view.x, [box.left, box.right], shownNow.x.log, Math.max(3, Math.floor(width / 110)), shownNow.x.whole);
    if (shownNow.x.steps) x.ticks = steps(shownNow.x.steps, x);
    frame = { x, y, box, whole };
    const clip = host.id + "-clip";
    const inner = draw("g", { "clip-path": `url(#${clip})` });
    image.replaceChildren(
      draw("defs", {}, draw("clipPath", { id: clip },
        draw("rect", { x: box.left, y: box.top - 6, width: box.right - box.left + 8, height: box.bottom - box.top + 12 }))),
      ...rulers(x, y, box, shownNow), inner);
    const ruled = rules.flatMap(rule => drawRule(rule, inner, x, box));
    if (shownNow.front?.length > 1) inner.append(draw("path", { class: "front", d: path(stairs(shownNow.front.map(p => [x.at(p.x), y.at(p.y)]))) }));
    shownNow.lines.forEach(line => drawLine(line, inner, x, y));
    ownFirst(points).reverse().forEach(point => drawPoint(point, inner, x, y)); // one's own lie on top
    labels(inner, box, width, (shownNow.front ?? []).length > 1 ? stairs(shownNow.front.map(p => [x.at(p.x), y.at(p.y)])) : [], ruled);
    endLabels(box, longest(width));
    paint(image);
  }

  function drawLine(line, inner, x, y) {
    const colour = colourOf(line.family);
    const places = line.points.map(p => [x.at(p[0]), y.at(p[1])]);
    const group = draw("g", { class: "mark", "data-network": line.network });
    if (line.points.some(p => p[2] < p[3])) {
      const band = [...line.points.map(p => [x.at(p[0]), y.at(p[3])]), ...line.points.map(p => [x.at(p[0]), y.at(p[2])]).reverse()];
      group.append(draw("path", { class: "band", d: path(band, true), fill: colour }));
    }
    group.append(draw("path", { class: "curve", d: path(places), stroke: colour, "stroke-dasharray": line.dash }));
    const every = Math.ceil(places.length / 12);
    places.forEach(([px, py], i) => { if ((places.length - 1 - i) % every === 0) group.append(shape(line.marker ?? markerOf(line.family), px, py, 3.2, { fill: colour })); });
    inner.append(group);
    places.forEach(([px, py], i) => marks.push({ px, py, network: line.network, tip: () => line.tip(line.points[i]), r: 4, label: "", end: i === places.length - 1 ? line.label : "" }));
  }

  // Draws an upright line with its text, and returns what they take: left, top, right, bottom.
  function drawRule({ at, colour, text }, inner, x, box) {
    const px = x.at(at), left = px < (box.left + box.right) / 2, w = widthOf(text, false), from = left ? px + 5 : px - 5 - w;
    inner.append(draw("path", { class: "budget", d: path([[px, box.top], [px, box.bottom]]), stroke: colour }),
      draw("text", { class: "label", x: px + (left ? 5 : -5), y: box.bottom - 6, "text-anchor": left ? "start" : "end" }, text));
    return [[px - 1, box.top, px + 1, box.bottom], [from, box.bottom - 16, from + w, box.bottom - 4]];
  }

  function drawPoint(point, inner, x, y) {
    const [px, py, colour] = [x.at(point.x), y.at(point.y), point.colour ?? colourOf(point.family)], r = point.pale ? 2.5 : isOwn(point) ? 7 : 5;
    const group = draw("g", { class: point.pale ? "mark pale" : "mark", "data-network": point.network });
    const bars = [];
    if (point.up) bars.push(point.up.map(end => [px, y.at(end)]));
    if (point.across) bars.push(point.across.map(end => [x.at(end), py]));
    for (const bar of bars) group.append(draw("path", { class: "interval", d: path(bar), stroke: colour }));
    if (point.ball) group.append(draw("circle", { class: "ball", cx: px, cy: py, r: point.ball, fill: colour }));
    if (point.ring) group.append(draw("circle", { class: "chosen", cx: px, cy: py, r: 10 }));
    group.append(shape(point.marker ?? markerOf(point.family), px, py, r, point.doubted ? { color: colour, class: "dot hollow" } : { fill: colour, class: "dot" }));
    inner.append(group);
    marks.push({ px, py, bars, network: point.network, tip: point.tip, r: point.ring ? 10 : r, label: point.label, ring: point.ring });
  }

  // Names at the ends of lines, beside the axes, moved apart; of more than there is room for every second, third, ...
  function endLabels(box, letters) {
    const all = marks.filter(m => m.end && m.py >= box.top - 4 && m.py <= box.bottom + 4).sort((a, b) => a.py - b.py);
    const step = 12, every = Math.ceil(all.length / Math.floor((box.bottom - box.top) / step));
    const ends = all.filter((m, i) => i % every === 0 || (every > 1 && isOwn(m)));
    let least = box.top;
    const at = ends.map(m => { const y = Math.max(m.py, least); least = y + step; return y; });
    for (let i = at.length - 1, top = box.bottom; i >= 0; i--, top -= step) at[i] = Math.min(at[i], top);
    ends.forEach((mark, i) => {
      const from = Math.min(mark.px, box.right) + 5, x = box.right + 18, y = at[i];
      if (x - from > 24 || Math.abs(y - mark.py) > 2)
        image.append(draw("path", { class: "lead mark", d: path([[from, mark.py], [x - 3, y]]), "data-network": mark.network }));
      image.append(draw("text", { class: "label mark", x, y: y + 4, "data-network": mark.network }, brief(mark.end, letters)));
    });
  }

  // Labels where they hit nothing: to the right, to the left, above, below, beyond its bar, between; else the readout has to do.
  function labels(inner, box, width, front, ruled) {
    const inside = marks.filter(m => m.px >= box.left && m.px <= box.right && m.py >= box.top - 4 && m.py <= box.bottom + 4);
    const named = inside.filter(m => m.label);
    if (named.length > 400) return;
    const taken = [...ruled, ...inside.map(m => [m.px - m.r, m.py - m.r, m.px + m.r, m.py + m.r])];
    for (const [[a, b], [c, d]] of named.flatMap(m => m.bars)) taken.push([Math.min(a, c) - 1, Math.min(b, d) - 1, Math.max(a, c) + 1, Math.max(b, d) + 1]);
    for (let i = 1; i < front.length; i++) {
      const [[a, b], [c, d]] = [front[i - 1], front[i]];
      taken.push([Math.min(a, c), Math.min(b, d), Math.max(a, c), Math.max(b, d)]);
    }
    const free = ([a, b, c, d]) => a >= box.left && c <= width - 2 && b >= 2 && d <= box.bottom &&
      taken.every(([e, f, g, h]) => c < e || a > g || d < f || b > h);
    const letters = named.length > 60 ? [28] : [28, 18, 12]; // where a whole name hits something a part of it may not
    const chosenFirst = [...named.filter(m => m.ring), ...ownFirst(named).filter(m => !m.ring)];
    for (const [mark, most] of chosenFirst.flatMap(mark => letters.filter((n, i) => !i || n < mark.label.length).map(n => [mark, n]))) {
      if (mark.placed) continue;
      const text = brief(mark.label, most);
      const [w, h, away] = [widthOf(text, isOwn(mark)), 12, mark.r + 3];
      const ends = mark.bars.flatMap(bar => bar.map(([x]) => x)), heights = mark.bars.flatMap(bar => bar.map(([, y]) => y));
      const spots = [[mark.px + away, mark.py - 6], [mark.px - away - w, mark.py - 6], [mark.px - w / 2, mark.py - away - 11], [mark.px - w / 2, mark.py + away - 1],
        [Math.max(mark.px, ...ends) + 5, mark.py - 6], [Math.min(mark.px, ...ends) - 5 - w, mark.py - 6],
        ...[[3, -18], [3, 6], [-3 - w, -18], [-3 - w, 6]].map(([a, b]) => [mark.px + a, mark.py + b + Math.sign(b) * (mark.r - 5)]),
        ...(most > 12 ? [] : [Math.min(mark.py - mark.r, ...heights) - 14, Math.max(mark.py + mark.r, ...heights) + 2]).map(b => [Math.max(box.left, Math.min(mark.px - w / 2, width - 3 - w)), b])];
      const spot = spots.find(([a, b]) => free([a, b, a + w, b + h]));
      if (!spot) continue;
      mark.placed = true;
      taken.push([spot[0], spot[1], spot[0] + w, spot[1] + h]);
      inner.append(draw("text", { class: "label mark", x: spot[0].toFixed(1), y: (spot[1] + 10).toFixed(1), "data-network": mark.network }, text));
    }
  }

  function zoom(factor, at) {
    if (!frame) return;
    const to = {};
    for (const key of ["x", "y"]) {
      const a = frame[key], ends = key === "x" ? [frame.box.left, frame.box.right] : [frame.box.bottom, frame.box.top];
      const centre = at ? at[key] : (ends[0] + ends[1]) / 2;
      to[key] = ends.map(end => a.back(centre + (end - centre) * factor));
    }
    go(to);
  }
  function go(to) {
    if (["x", "y"].some(key => senseless(to[key], frame.whole[key], frame[key].log))) return;
    view = to;
    render();
  }

  // --- the pointer ---
  const place = event => {
    const box = image.getBoundingClientRect();
    const unit = image.viewBox.baseVal.width / box.width;
    return [(event.clientX - box.left) * unit, (event.clientY - box.top) * unit];
  };
  const nearest = ([px, py]) => {
    let best = null, least = 24;
    for (const mark of marks) {
      const away = Math.hypot(mark.px - px, mark.py - py);
      if (away < least) [best, least] = [mark, away];
    }
    return best;
  };
  let start = null;
  const band = draw("rect", { class: "rubber" });
  image.addEventListener("pointerdown", event => {
    if (event.pointerType === "mouse" && event.button === 0) start = place(event);
  });
  image.addEventListener("pointermove", event => {
    const here = place(event);
    if (start && Math.hypot(here[0] - start[0], here[1] - start[1]) > 6) {
      set(band, { x: Math.min(start[0], here[0]), y: Math.min(start[1], here[1]), width: Math.abs(here[0] - start[0]), height: Math.abs(here[1] - start[1]) }, []);
      image.append(band);
      hideTip();
      return;
    }
    const mark = nearest(here);
    mark ? showTip(mark.tip(), event.clientX, event.clientY) : hideTip();
    image.classList.toggle("over", mark !== null);
  });
  image.addEventListener("pointerup", event => {
    const here = place(event);
    const dragged = start && Math.hypot(here[0] - start[0], here[1] - start[1]) > 6;
    if (dragged && frame) {
      go({
        x: [start[0], here[0]].sort((a, b) => a - b).map(frame.x.back),
        y: [start[1], here[1]].sort((a, b) => b - a).map(frame.y.back),
      });
    } else {
      const mark = nearest(here);
      if (mark) highlight(mark.network);
    }
    start = null;
    band.remove();
  });
  image.addEventListener("pointerleave", () => { hideTip(); start = null; band.remove(); });
  image.addEventListener("dblclick", reset);

  // --- the keyboard ---
  image.addEventListener("keydown", event => {
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    if (event.key in steps && marks.length) {
      const order = marks.map((m, i) => i).sort((a, b) => marks[a].px - marks[b].px || marks[a].py - marks[b].py);
      focus = order[(order.indexOf(focus) + steps[event.key] + order.length) % order.length];
      const mark = marks[focus], box = image.getBoundingClientRect(), unit = box.width / image.viewBox.baseVal.width;
      find(".ring", image)?.remove();
      image.append(draw("circle", { class: "ring", cx: mark.px, cy: mark.py, r: 9 }));
      showTip(mark.tip(), box.left + mark.px * unit, box.top + mark.py * unit);
    } else if (event.key === "Enter" && marks[focus]) highlight(marks[focus].network);
    else if (event.key === "+" || event.key === "-") zoom(event.key === "+" ? 0.6 : 1 / 0.6, marks[focus] && { x: marks[focus].px, y: marks[focus].py });
    else if (event.key === "0") reset();
    else if (event.key === "Escape") { hideTip(); if (highlighted) highlight(highlighted); }
    else return;
    event.preventDefault();
  });
  image.addEventListener("blur", () => { hideTip(); focus = -1; find(".ring", image)?.remove(); });

  redraws.push(reset);
  reset();
  return reset;
}

// The corners of a front, from its cheapest on: up to a better one only where its cost is reached.
function stairs(places) {
  return places.flatMap(([px, py], i) => (i ? [[px, places[i - 1][1]], [px, py]] : [[px, py]]));
}

// Of the only values that there are, as many as fit.
function steps(values, x) {
  const inside = [...new Set(values)].sort((a, b) => a - b).filter(v => v >= x.domain[0] && v <= x.domain[1]);
  const kept = [];
  for (const value of inside) if (!kept.length || x.at(value) - x.at(kept.at(-1)) > 34) kept.push(value);
  return kept;
}

// Which of some texts beside each other are written, so that none touches another: all, every second, every third ...
function apart(texts, places) {
  const touch = (i, j) => places[j] - places[i] < 3.3 * (texts[i].length + texts[j].length) + 6;
  for (let every = 1; every < texts.length; every++) {
    const kept = texts.map((_, i) => i).filter(i => i % every === 0);
    if (kept.every((i, n) => !n || !touch(kept[n - 1], i))) return kept;
  }
  return texts.length ? [0] : [];
}

// Grid, ticks and titles of both axes.
function rulers(x, y, box, { x: across, y: up }) {
  const parts = [];
  const texts = tickTexts(x.ticks, across.unit, x.log);
  const places = texts.map((text, i) => Math.min(x.at(x.ticks[i]), box.right + 12 - 3.3 * text.length));
  parts.push(...x.ticks.map(tick => draw("path", { class: "rule", d: path([[x.at(tick), box.top], [x.at(tick), box.bottom]]) })),
    ...apart(texts, places).map(i => draw("text", { class: "tick", x: places[i], y: box.bottom + 17, "text-anchor": "middle" }, texts[i])));
  tickTexts(y.ticks, up.unit, y.log).forEach((text, i) => {
    const at = y.at(y.ticks[i]);
    parts.push(draw("path", { class: "rule", d: path([[box.left, at], [box.right, at]]) }),
      draw("text", { class: "tick", x: box.left - 8, y: at + 4, "text-anchor": "end" }, text));
  });
  const middle = (box.top + box.bottom) / 2;
  parts.push(draw("path", { class: "frame", d: path([[box.left, box.top], [box.left, box.bottom], [box.right, box.bottom]]) }),
    draw("text", { class: "axis", x: (box.left + box.right) / 2, y: box.bottom + 38, "text-anchor": "middle" }, titled(across)));
  if (up.title) parts.push(draw("text", { class: "axis", transform: `translate(13 ${middle}) rotate(-90)`, "text-anchor": "middle" }, titled(up)));
  return parts;
}
