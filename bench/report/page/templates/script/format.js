// Numbers as people read them; values are in stored units.
function scaleFor(value, unit) {
  const steps = DATA.scales[unit] ?? [[1, unit]];
  const fitting = steps.filter(([factor]) => Math.abs(value) * (1 + 1e-9) >= factor);
  return value === 0 || !fitting.length ? steps.find(([factor]) => factor === 1) ?? steps[0] : fitting.at(-1);
}
function digits(value, count = 3) {
  if (value === 0) return "0";
  const places = Math.max(0, count - 1 - Math.floor(Math.log10(Math.abs(value))));
  return value.toLocaleString("en", { minimumFractionDigits: 0, maximumFractionDigits: Math.min(places, 12) });
}
function shown(value, unit, count = 3) {
  if (value === undefined || value === null || !Number.isFinite(value)) return "–";
  if (unit === "%") return digits(100 * value, Math.max(count, 3)) + " %";
  if (unit === "1/s") return digits(value, count) + " images/s";
  if (unit === "") return String(+value.toPrecision(4));
  const [factor, symbol] = scaleFor(value, unit);
  return (digits(value / factor, count) + " " + symbol).trim();
}
const titled = ({ title, unit }) => {
  const name = unit === "1/s" ? "images/s" : unit === "%" ? "%" : "";
  return name ? `${title} (${name})` : title;
};
