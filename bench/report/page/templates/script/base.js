// Elements, and what all parts of the page share: data, the network highlighted, families hidden, rows chosen.
const DATA = JSON.parse(document.getElementById("data").textContent);
DATA.rows = unpacked(DATA.rows);

// Rows lie column by column in the page; a column of texts that come again has each word once.
function unpacked({ count, plain, nested }) {
  const rows = Array.from({ length: count }, () => ({}));
  const fill = (column, into) => (column.words ? column.at.map(i => i === null ? null : column.words[i]) : column).forEach(into);
  for (const [key, column] of Object.entries(plain)) fill(column, (value, i) => { rows[i][key] = value; });
  for (const [name, columns] of Object.entries(nested)) {
    rows.forEach(row => { row[name] = {}; });
    for (const [key, column] of Object.entries(columns)) fill(column, (value, i) => { if (value !== null) rows[i][name][key] = value; });
  }
  return rows;
}
const find = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

function set(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) element.setAttribute(name, value);
  element.append(...children); // texts become text nodes, never markup
  return element;
}
const make = (tag, attributes = {}, ...children) => set(document.createElement(tag), attributes, children);
const draw = (tag, attributes = {}, ...children) =>
  set(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

function button(text, act, attributes = {}) {
  const made = make("button", { type: "button", ...attributes }, text);
  made.addEventListener("click", act);
  return made;
}
function select(name, options, chosen, act) { // options: [value, text]
  const box = make("select", {}, ...options.map(([value, text]) => make("option", { value }, text)));
  box.value = chosen;
  box.addEventListener("change", () => act(box.value));
  return make("label", { class: "choice" }, make("span", {}, name), box);
}

// As one text, in which no line ends between a number and its sign.
const sentences = parts => parts.filter(Boolean).join(" ").replace(/(\d) %/g, "$1\u00a0%");

const NOTHING = "nothing to show with this choice";

// What each chart does again when families, the filter or the width change.
const redraws = [];
const redraw = () => redraws.forEach(again => again());

const ownNetworks = new Set(DATA.own); // those in files of one's own, which stand out everywhere
const OWN_FAMILY = "your own";
const isOwn = thing => ownNetworks.has(thing.network);
const ownFirst = things => [...things.filter(isOwn), ...things.filter(thing => !isOwn(thing))];
let highlighted = "";
function paint(root = document) {
  for (const element of all("[data-network]", root)) {
    element.classList.toggle("lit", element.dataset.network === highlighted);
    element.classList.toggle("own", ownNetworks.has(element.dataset.network));
  }
}
function highlight(network) {
  highlighted = network === highlighted ? "" : network;
  document.documentElement.classList.toggle("highlighting", highlighted !== "");
  const box = find("#highlight");
  if (box) box.value = highlighted;
  paint();
}

const hiddenFamilies = new Set();
const filteredRows = new Set(); // numbers of rows that the filter hides
const shownRow = (row, number) => !hiddenFamilies.has(row.family) && !filteredRows.has(number);
const colourOf = family => (DATA.families[family] ?? ["#7A7A7A"])[0];
const markerOf = family => (DATA.families[family] ?? ["", "o"])[1];

const tip = find("#tip");
function showTip(lines, x, y) { // lines: [name, value], the first alone is a title; x, y in the window
  tip.replaceChildren(...lines.map(([name, value]) =>
    value === undefined ? make("b", {}, name) : make("span", {}, make("i", {}, name), " " + value)));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const left = x + 16 + box.width > innerWidth ? x - 16 - box.width : x + 16;
  tip.style.left = Math.max(4, left) + "px";
  tip.style.top = Math.max(4, Math.min(y + 12, innerHeight - box.height - 4)) + "px";
}
const hideTip = () => { tip.hidden = true; };
