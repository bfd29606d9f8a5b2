// Rows side by side: the quantities down, the rows chosen across, ratios to the first.
const chosenRows = [];
const MOST_CHOSEN = 8;

// A ratio is told better or worse where the settings agree within which the quantity is compared, neither number is in
// doubt, and the numbers are exact or have intervals that lie apart: the rule of the marks in the table.
function ratioText(key, row, first) {
  const { better, exact, within, at } = QUANTITIES[key], ratio = row.values[key] / first.values[key];
  if (!Number.isFinite(ratio) || better === "neither") return ["", ""];
  const beyond = exact ? Math.abs(ratio - 1) : 0; // of counts, what is more is not told as ×1.00
  const told = `×${digits(ratio, beyond ? Math.max(3, 1 - Math.floor(Math.log10(beyond))) : 3)}`;
  const differing = names => names.filter(name => row.settings[name] !== first.settings[name])
    .map(name => [row, first].map(r => r.settings[name] ?? "unknown").join(" against "));
  const apart = differing(within), sizes = differing(at).map(text => `, at ${text}`).join("");
  if (apart.length) return [`${told}, not comparable: ${apart.join(", ")}`, ""];
  if (row.doubts[key] || first.doubts[key]) return [`${told}, in doubt`, ""];
  const [a, b] = [row, first].map(r => r.ends[key]);
  if (!exact && !(a && b)) return [`${told}, undecided: no interval`, ""];
  if (!exact && a[0] <= b[1] && b[0] <= a[1]) return [`${told}, undecided: intervals overlap`, ""];
  if (ratio === 1) return ["the same" + sizes, ""];
  const good = (ratio < 1) === (better === "lower") ? "better" : "worse";
  return [(told === "×1" ? `${told}, slightly ${good}` : `${told}, ${good}`) + sizes, good];
}

function compareTable(host) {
  if (chosenRows.length < 2) {
    host.replaceChildren(make("p", { class: "empty" }, chosenRows.length ? "Tick one row more under " : "Tick two rows or more under ", make("a", { href: "#comparison" }, "Table"), "."));
    return;
  }
  const rows = chosenRows.map(number => DATA.rows[number]);
  const keys = Object.keys(QUANTITIES).filter(key => rows.some(row => key in row.values || key in row.refused));
  const cell = (key, row, i) => {
    const [text, good] = i ? ratioText(key, row, rows[0]) : ["", ""];
    const ends = endsOf(row, key);
    const refused = row.refused[key] ? `needs ${row.refused[key]} samples a process` : "";
    const notes = [ends, refused, row.doubts[key] ?? ""].filter(Boolean).map(note => make("small", {}, note));
    return make("td", { class: "number" }, told(row, key), ...notes, make("small", { class: good }, text));
  };
  const head = make("tr", {}, make("th", { scope: "col", class: "plain-head" }, "Quantity"), ...rows.map(row =>
    make("th", { scope: "col", class: "number plain-head", "data-network": row.network }, make("bdi", {}, row.label))));
  host.replaceChildren(make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Rows side by side" },
    make("table", {}, make("thead", {}, head), make("tbody", {}, ...keys.map(key =>
      make("tr", {}, make("th", { scope: "row" }, QUANTITIES[key].title), ...rows.map((row, i) => cell(key, row, i))))))),
    button("Choose none", () => { chosenRows.length = 0; all("[data-choose]").forEach(box => { box.checked = false; }); compareTable(host); }));
  paint(host);
}

function choose(box, host) {
  const number = +box.dataset.choose;
  if (box.checked) chosenRows.push(number);
  else chosenRows.splice(chosenRows.indexOf(number), 1);
  if (chosenRows.length > MOST_CHOSEN) { // the oldest but the first gives way
    const [gone] = chosenRows.splice(1, 1);
    find(`[data-choose="${gone}"]`).checked = false;
  }
  compareTable(host);
}
