// Races: accuracy against the cost that was raced, with the front, the budget, and the networks that were left alone.
function races(host) {
  if (!host) return;
  DATA.races.forEach((race, i) => {
    const [, body] = panel(host, `chart-race-${i}`, DATA.races.length > 1 ? race.run : "The race");
    const rows = race.rows.filter(row => row.cost !== null && row.accuracy !== null);
    const points = rows.map(row => racePoint(race, row)), are = kind => rows.some(row => row.is === kind), best = rows.find(row => row.best);
    body.after(make("figcaption", {}, sentences([
      `Blue is the front of what was measured${are("possible") ? ", hollow where that is not certain" : ""}; bars are 99 % intervals of the cost.`,
      are("behind") ? "Grey was measured and is behind it." : "",
      are("never") ? "Pale was never measured: its cost is expected between the ends of its line, with 95 %; of very many, those have a line that are likeliest to matter." : "",
      best ? `The ring is the choice: ${best.label}.` : "",
      race.limit === null ? "" : "The upright line is the budget.",
    ])));
    const front = points.filter(point => point.member).sort((a, b) => (race.better === "lower" ? a.x - b.x : b.x - a.x));
    plot(body, () => ({
      title: "The race", points, lines: [], front,
      rules: race.limit === null ? [] : [{ at: race.limit, colour: race.colours[1], text: "budget " + race.budget }],
      x: { title: race.cost, unit: race.unit, log: true }, y: { title: race.accuracy, unit: "%", log: false },
    }), 480);
  });
}
function racePoint(race, row) {
  const member = row.is === "certain" || row.is === "possible", [blue, , grey] = race.colours;
  const ends = row.ends ?? [], span = ends.map(end => shown(end, race.unit)).join(" – ");
  const around = ends.length ? ` (${between(ends, row.cost, race.unit)})` : "";
  const cost = row.is === "never" ? ["Expected (95 %)", span] : [race.cost, shown(row.cost, race.unit, digitsFor(row.cost, ends)) + around];
  return {
    member, x: row.cost, y: row.accuracy, across: row.span ? row.ends ?? undefined : undefined, network: row.network, colour: isOwn(row) ? colourOf(OWN_FAMILY) : member ? blue : grey, marker: isOwn(row) ? "*" : "o",
    doubted: row.is === "possible", pale: row.is === "never", ring: row.best, label: member || isOwn(row) ? row.label : "",
    tip: () => [[row.name], [race.accuracy, shown(row.accuracy, "%")], cost, ["Why", row.why]],
  };
}
