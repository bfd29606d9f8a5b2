// A network layer by layer: a strip of columns for each quantity, and the table.
const STRIPS = [
  ["activation_bytes", "Memory of the activations", "B"], ["parameters", "Parameters", "1"],
  ["macs", "MACs", "MAC"], ["receptive_field", "Receptive field", "px"],
];
const LAYER_HEADS = { name: "Layer", kind: "Type", output: "Output", ...Object.fromEntries(STRIPS.map(([key, title]) => [key, title])) };
const unitOf = Object.fromEntries(STRIPS.map(([key, , unit]) => [key, unit]));

function layersView(host) {
  if (!host || !DATA.layers.length) return;
  const strips = make("div", { class: "plots strips" }), table = make("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-label": "Layers" });
  let chosen = Math.max(0, DATA.layers.findIndex(isOwn));
  const render = () => {
    const net = DATA.layers[chosen], columns = host.clientWidth < 2 * 560 + 22 ? 1 : 2; // as the style sheet has it
    const width = Math.max(300, (host.clientWidth - 22 * (columns - 1)) / columns - 34);
    strips.replaceChildren(...STRIPS.filter(([key]) => net.columns.includes(key)).map(([key, title, unit]) => strip(net, key, title, unit, width)));
    table.replaceChildren(layerTable(net));
  };
  host.append(make("div", { class: "controls" }, select("Network", DATA.layers.map((net, i) => [String(i), choosable(net.label)]), String(chosen), v => { chosen = +v; render(); })), strips, table);
  redraws.push(render);
  render();
}

const layerText = (key, value) => typeof value === "string" ? value : value === null ? "–" : key in unitOf ? exactly(value, unitOf[key]) : String(value);

const MOST_NAMES = 24; // layers that all have their names below; of more the tallest is named
function strip(net, key, title, unit, width) {
  const column = net.columns.indexOf(key), name = net.columns.indexOf("name");
  const values = net.rows.map(row => (typeof row[column] === "number" ? row[column] : 0));
  const total = values.reduce((a, b) => a + b, 0), most = Math.max(...values);
  const each = values.length <= MOST_NAMES, height = each ? 224 : 186;
  const box = { left: 64, right: width - 8, top: each ? 10 : 26, bottom: height - (each ? 80 : 26) };
  const y = axis([0, 1.04 * most || 1], [box.bottom, box.top], false, 5);
  box.left = 16 + 7 * Math.max(...tickTexts(y.ticks, unit, false).map(text => text.length));
  const step = (box.right - box.left) / Math.max(1, values.length);
  const sum = key === "receptive_field" ? `up to ${exactly(most, unit)}` : `${exactly(total, unit)} in all`;
  const image = draw("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title} of ${net.label} by layer, ${sum}; the most ${shown(most, unit)} in ${net.rows[values.indexOf(most)]?.[name] ?? "none"}. The numbers are in the table below.` });
  image.append(...rulers({ ticks: [], at: v => v }, y, box, { x: { title: "", unit: "" }, y: { title: "", unit } }));
  net.rows.forEach((row, i) => {
    const bar = draw("rect", { class: "bar-column", x: (box.left + step * (i + 0.08)).toFixed(2), width: Math.max(0.4, step * 0.84).toFixed(2), y: y.at(values[i]).toFixed(1), height: Math.max(0, box.bottom - y.at(values[i])).toFixed(1), fill: colourOf(net.family) });
    const hit = draw("rect", { class: "hit", x: box.left + step * i, width: step, y: box.top, height: box.bottom - box.top });
    hit.addEventListener("pointermove", event => showTip([[row[name]], ...net.columns.map((c, j) => [LAYER_HEADS[c] ?? c, layerText(c, row[j])]).filter(([, t], j) => j !== name && t !== "–")], event.clientX, event.clientY));
    hit.addEventListener("pointerleave", hideTip);
    image.append(bar, hit);
  });
  const middle = i => box.left + step * (i + 0.5), first = values.indexOf(most);
  if (each) net.rows.forEach((row, i) => image.append(draw("text", { class: "tick", transform: `translate(${(middle(i) + 4).toFixed(1)} ${box.bottom + 10}) rotate(-55)`, "text-anchor": "end" }, brief(row[name], 14))));
  else if (most > 0) image.append(draw("text", { class: "tick", x: middle(first).toFixed(1), y: y.at(most) - 6, "text-anchor": first < values.length / 2 ? "start" : "end" }, `${brief(net.rows[first][name], Math.floor(width / 15))}, ${exactly(most, unit)}`));
  return make("figure", { class: "chart" }, make("div", { class: "controls" }, make("h3", {}, title), make("span", { class: "note" }, sum)), image);
}

function layerTable(net) {
  const numeric = key => key in unitOf;
  const cell = (key, value, first) => make(first ? "th" : "td", { ...(first ? { scope: "row" } : {}), ...(numeric(key) ? { class: "number" } : {}) }, make("bdi", {}, layerText(key, value)));
  return make("table", {}, make("caption", { class: "hidden" }, `Layers of ${net.label}`),
    make("thead", {}, make("tr", {}, ...net.columns.map(key => make("th", { scope: "col", class: numeric(key) ? "number plain-head" : "plain-head" }, LAYER_HEADS[key] ?? key)))),
    make("tbody", {}, ...net.rows.map(row => make("tr", {}, ...row.map((value, i) => cell(net.columns[i], value, i === 0))))));
}
