// Races: accuracy against the cost that was raced, with the front, the budget, and the networks that were left alone.
function races(host) {
  if (!host) return;
  DATA.races.forEach((race, i) => {
    const [, body] = panel(host, `chart-race-${i}`, DATA.races.length > 1 ? race.run : "The race");
    body.after(make("figcaption", {}, "Blue is the front of what was measured, hollow where that is not certain; bars are 99 % intervals of the cost. Grey was measured and is behind it. Pale was never measured: its cost is expected between the ends of its line, with 95 %; of very many, those have a line that are likeliest to matter. "
      + (race.rows.some(row => row.best) ? "The ring is the choice." : "") + (race.limit === null ? "" : " The upright line is the budget.")));
    const points = race.rows.filter(row => row.cost !== null && row.accuracy !== null).map(row => racePoint(race, row));
    const front = points.filter(point => point.member).sort((a, b) => (race.better === "lower" ? a.x - b.x : b.x - a.x));
    plot(body, () => ({
      title: "The race", points, lines: [], front,
      rules: race.limit === null ? [] : [{ at: race.limit, colour: race.colours[1], text: "budget " + shown(race.limit, race.unit) }],
      x: { title: race.cost, unit: race.unit, log: true }, y: { title: race.accuracy, unit: "%", log: false },
    }), 480);
  });
}
function racePoint(race, row) {
  const member = row.is === "certain" || row.is === "possible", [blue, , grey] = race.colours;
  const span = row.ends ? row.ends.map(end => shown(end, race.unit)).join(" – ") : "";
  const cost = row.is === "never" ? ["Expected (95 %)", span] : [race.cost, shown(row.cost, race.unit) + (span ? ` (${span})` : "")];
  return {
    member, x: row.cost, y: row.accuracy, across: row.span ? row.ends ?? undefined : undefined, network: row.network, colour: isOwn(row) ? colourOf(OWN_FAMILY) : member ? blue : grey, marker: isOwn(row) ? "*" : "o",
    doubted: row.is === "possible", pale: row.is === "never", ring: row.best, label: member || isOwn(row) ? row.label : "",
    tip: () => [[row.name], [race.accuracy, shown(row.accuracy, "%")], cost, ["Why", row.why]],
  };
}
