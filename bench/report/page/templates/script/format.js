// Numbers as people read them; values are in stored units.
function scaleFor(value, unit) {
  const steps = DATA.scales[unit] ?? [[1, unit]];
  const fitting = steps.filter(([factor]) => Math.abs(value) * (1 + 1e-9) >= factor);
  return value === 0 || !fitting.length ? steps.find(([factor]) => factor === 1) ?? steps[0] : fitting.at(-1);
}
function decimals(value, places) {
  const least = Math.max(0, Math.min(places, 12)), step = 10 ** -places;
  const rounded = places < 0 ? Math.round(value / step) * step : value;
  return rounded.toLocaleString("en", { minimumFractionDigits: least, maximumFractionDigits: least });
}
const placesOf = (value, count) => count - 1 - (value ? Math.floor(Math.log10(Math.abs(value))) : 0);
const digits = (value, count = 3) => // 9.996 is 10.0, not 10.00
  (value === 0 ? "0" : decimals(value, count - 1 - value.toExponential(count - 1).split("e")[1]));
function shown(value, unit, count = 3) {
  if (value === undefined || value === null || !Number.isFinite(value)) return "–";
  if (unit === "%") return decimals(100 * value, 1) + " %";
  if (unit === "") return String(+value.toPrecision(4));
  const [factor, symbol] = scaleFor(value, unit);
  return (digits(value / factor, count) + " " + symbol).trim();
}
// What is counted, and ticks: without zeros behind.
function exactly(value, unit, count = 3) {
  if (unit === "px") return `${Math.round(value)} px`;
  const [factor, symbol] = scaleFor(value, unit);
  return ((value / factor).toLocaleString("en", { maximumSignificantDigits: count }) + " " + symbol).trim();
}
// The digits that an interval allows, as in the tables: down to the first of its half width, from 2 to 3.
function digitsFor(value, [low, high] = []) {
  const half = (high - low) / 2;
  if (!value || !(half > 0)) return 3;
  return Math.min(3, Math.max(2, Math.floor(Math.log10(Math.abs(value))) - Math.floor(Math.log10(half)) + 1));
}
function told(row, key) { // a number of a row
  const { unit, whole } = QUANTITIES[key], value = row.values[key];
  return whole && value !== undefined ? (value.toFixed(0) + " " + unit).trim() : shown(value, unit, digitsFor(value, row.ends[key]));
}
function endsOf(row, key) { // its interval; nothing where it has none
  const ends = row.ends[key], value = row.values[key];
  return ends && value !== undefined ? between(ends, value, QUANTITIES[key].unit) : "";
}
function between(ends, value, unit) { // with the decimals of the number; an end of another magnitude has its own
  const factor = unit === "%" ? 0.01 : scaleFor(value, unit)[0];
  const count = digitsFor(value, ends), places = unit === "%" ? 1 : placesOf(value / factor, count);
  const far = end => unit !== "%" && end !== 0 && !(Math.abs(end / value) > 0.1 && Math.abs(end / value) < 10);
  return ends.map(end => (far(end) ? digits(end / factor, count) : decimals(end / factor, places))).join(" – ");
}
const titled = ({ title, unit }) => {
  const name = unit === "1/s" ? "images/s" : unit === "%" ? "%" : "";
  return name ? `${title} (${name})` : title;
};
