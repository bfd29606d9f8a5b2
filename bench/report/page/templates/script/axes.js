// Axes: from values to positions, and where the ticks are.
function niceStep(span, count) {
  const rough = span / count, power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find(f => f * power >= rough);
}
function linearTicks(low, high, count, whole) {
  const nice = niceStep(high - low || 1, count), step = whole ? Math.max(1, Math.ceil(nice)) : nice, found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(+(i * step).toPrecision(12));
  return found;
}
function logTicks(low, high, count) {
  const [from, to] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  for (const [every, factors] of [[1, [1, 2, 3, 5, 7]], [1, [1, 2, 5]], [1, [1, 3]], [1, [1]], [2, [1]], [3, [1]], [6, [1]]]) {
    const found = [];
    for (let p = Math.ceil(from / every) * every - every; p <= to; p += every) for (const f of factors) found.push(f * 10 ** p);
    const inside = found.filter(v => v >= low * 0.999 && v <= high * 1.001);
    if (inside.length < 2) break;
    if (inside.length <= count + 1) return inside;
  }
  return linearTicks(low, high, count).filter(v => v > 0);
}
const FAR = 1e5; // pixels, beyond which nothing is drawn
// domain: [low, high]; range: pixels of both ends.
function axis(domain, range, log, count, whole) {
  const f = log ? v => (v > 0 ? Math.log10(v) : -Infinity) : v => v;
  const [a, b] = domain.map(f), [p, q] = range;
  const slope = (q - p) / (b - a || 1);
  return {
    domain, log,
    at: v => Math.max(-FAR, Math.min(FAR, p + (f(v) - a) * slope)),
    back: pixel => { const v = a + (pixel - p) / slope; return log ? 10 ** v : v; },
    ticks: log ? logTicks(domain[0], domain[1], count) : linearTicks(domain[0], domain[1], count, whole),
  };
}
function extent(values, log, room = 0.06) {
  const fine = values.filter(v => Number.isFinite(v) && (!log || v > 0));
  if (!fine.length) return log ? [1, 10] : [0, 1];
  const [f, g] = log ? [Math.log10, v => 10 ** v] : [v => v, v => v];
  const low = f(fine.reduce((a, b) => Math.min(a, b))), high = f(fine.reduce((a, b) => Math.max(a, b)));
  const pad = (high - low) * room || Math.abs(high) * 0.1 || 1;
  return [g(low - pad), g(high + pad)];
}
// Values with the ends of their intervals, which widen a domain up to one and a half times its size on either side, or to
// five times as far as most reach: what is hardly known must not press all others together.
function reached(values, ends, log) {
  const [f, g] = log ? [v => (v > 0 ? Math.log10(v) : -Infinity), v => 10 ** v] : [v => v, v => v];
  const known = values.map(f).filter(Number.isFinite);
  if (!known.length) return values;
  const low = known.reduce((a, b) => Math.min(a, b)), high = known.reduce((a, b) => Math.max(a, b));
  const told = ends.filter(v => v !== null), beyond = told.map(v => Math.max(low - f(v), f(v) - high, 0));
  const most = [...beyond, ...Array(Math.max(0, 2 * known.length - told.length)).fill(0)].sort((a, b) => a - b);
  const room = Math.max(1.5 * (high - low), 5 * most[Math.floor((most.length - 1) / 2)]) || (log ? 0.5 : Math.abs(high) / 2 || 1);
  return [...values, ...told.map(v => g(Math.max(low - room, Math.min(high + room, f(v)))))];
}
// Whether a domain is so near to another or so far from it that nothing is to be seen there.
function senseless(domain, whole, log) {
  const f = log ? Math.log10 : v => v, size = ([a, b]) => Math.abs(f(b) - f(a)), share = size(domain) / (size(whole) || 1);
  return !(share > 1 / 500 && share < 4) || !domain.every(Number.isFinite);
}
// The texts of ticks: on a linear axis all share a prefix.
function tickTexts(ticks, unit, log) {
  if (unit === "%") return ticks.map(v => +(100 * v).toPrecision(6) + "");
  if (unit === "") return ticks.map(v => shown(v, unit));
  if (log || unit === "1/s") { // with as many digits as tell them apart, of a narrow domain more than three
    const texts = count => ticks.map(v => exactly(v, unit === "1/s" ? "" : unit, count));
    return [3, 4, 5, 6].map(texts).find(all => new Set(all).size === all.length) ?? texts(7);
  }
  const [factor, symbol] = scaleFor(Math.max(...ticks.map(Math.abs)), unit);
  return ticks.map(v => (v === 0 ? "0" : (+(v / factor).toPrecision(6) + " " + symbol).trim()));
}
