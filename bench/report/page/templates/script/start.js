// All parts, set going.
all("table.sortable").forEach(sortable);
all("[data-tools]").forEach(columns);
all("input[data-filter]").forEach(filterable);
all("[data-lengthen]").forEach(lengthen);
all("[data-copy]").forEach(made => made.addEventListener("click", () => copy(document.getElementById(made.dataset.copy), made)));
all("[data-csv]").forEach(made => made.addEventListener("click", () => download(document.getElementById(made.dataset.csv))));
all("[data-choose]").forEach(box => box.addEventListener("change", () => choose(box, find("#compare-table"))));

const theme = find("#theme");
const THEMES = { "": "auto", light: "light", dark: "dark" };
theme.addEventListener("click", () => {
  const keys = Object.keys(THEMES), root = document.documentElement;
  const next = keys[(keys.indexOf(root.dataset.theme ?? "") + 1) % keys.length];
  next ? (root.dataset.theme = next) : delete root.dataset.theme;
  theme.textContent = "Colours: " + THEMES[next];
});

const box = find("#highlight");
if (box) {
  const networks = [...new Set([...DATA.rows, ...DATA.curves].map(row => row.network))];
  box.append(...networks.sort((a, b) => a.localeCompare(b, "en", { numeric: true })).map(name => make("option", { value: name, title: name }, choosable(name))));
  box.addEventListener("change", () => { highlighted = ""; highlight(box.value); });
}
all("tr[data-network] th bdi").forEach(name => name.addEventListener("click", () => highlight(name.closest("tr").dataset.network)));

legend(find("#legend"));
races(find("#race-plots"));
const front = find("#front-plot"), plots = find("#plots");
if (front) scatter(front);
if (plots) {
  const again = ranking(plots);
  byBatch(plots);
  if (plots.children.length > 1) again?.(); // beside another it is half as wide
}
curves(find("#curves"));
layersView(find("#layers-view"));

// On paper nothing can be unfolded; the figures are there as charts.
let unfolded = [];
addEventListener("beforeprint", () => {
  unfolded = all("main details:not([open], .figure, .columns)");
  unfolded.forEach(part => { part.open = true; });
});
addEventListener("afterprint", () => unfolded.forEach(part => { part.open = false; }));

let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth !== width) { width = innerWidth; redraw(); }
});
paint();
document.documentElement.dataset.ready = String(Math.round(performance.now()));
