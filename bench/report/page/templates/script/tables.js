// Tables: sorting by what cells carry in data-sort (numbers as numbers, cells without a value last), filter,
// columns, copy and CSV.
function sortable(table) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    const numeric = head.classList.contains("number");
    const key = row => row.cells[column].dataset.sort;
    const order = (a, b) => numeric && !isNaN(a) && !isNaN(b) ? a - b : a.localeCompare(b, "en", { numeric: true });
    const rows = [...body.rows].sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      return down ? order(y, x) : order(x, y);
    });
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...rows);
    shorten(table);
  }));
}

// Of a long table only the first rows are laid out, until all are asked for; copies and CSV have all.
const SHORT = 150;
function shorten(table) {
  if (!table.classList.contains("short")) return;
  [...table.tBodies[0].rows].filter(row => !row.hidden).forEach((row, i) => row.classList.toggle("late", i >= SHORT));
}
function lengthen(made) {
  made.addEventListener("click", () => {
    document.getElementById(made.dataset.lengthen).classList.remove("short");
    made.remove();
  });
}

const cellText = cell => {
  const [first, note] = [cell.querySelector("bdi") ?? cell.firstChild, cell.querySelector("small")];
  return (first ? first.textContent.trim() : "") + (note ? ` (${note.textContent})` : "");
};
const headText = head => {
  const [title, unit, remark] = [head.firstElementChild.firstChild.textContent.trim(), head.querySelector(".unit:not(.remark)"), head.querySelector(".remark")];
  return title + (unit ? ` (${unit.textContent})` : "") + (remark ? `, ${remark.textContent}` : "");
};
function grid(table) { // what is shown, heads first
  const heads = [...table.tHead.rows[0].cells].filter(c => !c.hidden).map(headText);
  const rows = [...table.tBodies[0].rows].filter(r => !r.hidden);
  return [heads, ...rows.map(row => [...row.cells].filter(c => !c.hidden).map(cellText))];
}
// A cell that a spreadsheet would take for a formula becomes text.
const harmless = text => (/^[=+\-@\t\r]/.test(text) && isNaN(text) ? "'" + text : text);
const csvCell = text => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

async function copy(table, made) {
  const text = grid(table).map(row => row.map(cell => harmless(cell === "–" ? "" : cell)).join("\t")).join("\n");
  try {
    await navigator.clipboard.writeText(text);
    made.textContent = "Copied";
  } catch {
    made.textContent = "Not allowed here";
  }
  setTimeout(() => { made.textContent = "Copy"; }, 1500);
}
// For a spreadsheet: each number in its stored unit and full, its interval in columns of its own, nothing where none is.
function numbers(table) {
  const rows = [...table.tBodies[0].rows].filter(r => !r.hidden);
  const columns = [...table.tHead.rows[0].cells].map((head, i) => ({ head, i })).filter(({ head }) => !head.hidden);
  const parts = columns.flatMap(({ head, i }) => {
    const title = head.firstElementChild.firstChild.textContent.trim(), unit = head.dataset.unit;
    if (!head.classList.contains("number") || unit === undefined) return [[headText(head), row => cellText(row.cells[i]).replace(/^–$/, "")]];
    const named = word => [title, word].filter(Boolean).join(", ") + (unit ? ` (${unit})` : "");
    const end = k => row => (row.cells[i].dataset.ends ?? "").split(" ")[k] ?? "";
    const ends = rows.some(row => row.cells[i].dataset.ends) ? [[named("low"), end(0)], [named("high"), end(1)]] : [];
    return [[named(""), row => row.cells[i].dataset.sort], ...ends];
  });
  return [parts.map(([head]) => head), ...rows.map(row => parts.map(([, value]) => value(row)))];
}
function download(table) {
  const text = numbers(table).map(row => row.map(harmless).map(csvCell).join(",")).join("\r\n") + "\r\n";
  const url = URL.createObjectURL(new Blob(["\ufeff" + text], { type: "text/csv" }));
  make("a", { href: url, download: table.id + ".csv" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

// The charts of very many rows follow when the typing has stopped: the table answers at once.
const MANY = 200;
let waiting;
function filterable(input) {
  const table = document.getElementById(input.dataset.filter);
  const rows = [...table.tBodies[0].rows].map(row => [row, row.textContent.toLowerCase()]);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    filteredRows.clear();
    let left = 0;
    for (const [row, text] of rows) {
      row.hidden = !words.every(word => text.includes(word));
      if (row.hidden && row.dataset.row) filteredRows.add(+row.dataset.row);
      left += !row.hidden;
    }
    find(`[data-count="${table.id}"]`).textContent = words.length ? `${left} of ${rows.length} rows` : "";
    shorten(table);
    clearTimeout(waiting);
    if (rows.length > MANY) waiting = setTimeout(redraw, 300);
    else redraw();
  });
}

// Below a table are the footnotes of the columns that are shown.
function footnotes(table) {
  const marks = [...table.querySelectorAll("td:not([hidden]) > sup")].flatMap(mark => mark.textContent.split(","));
  const letters = new Set(marks);
  for (const note of document.querySelectorAll(`[data-footnotes="${table.id}"] > span`)) note.hidden = !letters.has(note.dataset.letter);
}

function columns(tools) {
  const table = document.getElementById(tools.dataset.tools);
  const group = find(".columns div", tools);
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    if (column === 0) return;
    const box = make("input", { type: "checkbox" });
    box.checked = !head.hidden;
    box.addEventListener("change", () => {
      for (const row of table.rows) row.cells[column].hidden = !box.checked;
      footnotes(table);
    });
    group.append(make("label", {}, box, " " + headText(head)));
  });
}
