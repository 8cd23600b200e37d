/* Groups of sources side by side: means with 95 % intervals, and differences within pairs. The numbers are of all
   sources, also of those that the page has no room for. A row is [family, name, unit, means, pairs, how far apart,
   between which values a score can be or null]. */
const SHOWN_FIRST = 8;
const grouping = { label: 0, table: "", family: "", show: "apart", view: "means", order: "read" };
function groupingSets() {
  const tables = DATA.groups[grouping.label].tables;
  const found = Object.entries(tables).flatMap(([table, rows]) => [...new Set(rows.map((row) => row[0]))].map((family) => ({ table, family, rows: rows.filter((row) => row[0] === family) })));
  const sources = (set) => Math.max(...set.rows.map((row) => row[3].reduce((sum, group) => sum + (group ? group[0] : 0), 0)));
  const about = (set) => DATA.models[set.table] && DATA.models[set.table].family === set.family ? 1 : 0;
  return found.sort((a, b) => about(b) - about(a) || sources(b) - sources(a));
}
function groupingRows() {
  const sets = groupingSets(), set = sets.find((one) => one.table === grouping.table && one.family === grouping.family) || sets[0];
  const paired = grouping.view === "pairs", rows = set.rows.filter((row) => !paired || row[4].length);
  const ordered = { apart: (a, b) => b[5] - a[5], strong: (a, b) => Math.max(...b[3].map((g) => g ? g[1] : -Infinity)) - Math.max(...a[3].map((g) => g ? g[1] : -Infinity)), all: () => 0 }[grouping.show];
  return { set, rows: [...rows].sort(ordered).slice(0, grouping.show === "all" ? 999 : SHOWN_FIRST) };
}
/* What is drawn in a row: [which group or pair, n, mean, low, high]. */
const drawnIn = (row) => (grouping.view === "pairs" ? row[4].map((pair) => [pair[1], ...pair.slice(2)]) : row[3].map((group, g) => group && [g, ...group]).filter(Boolean)).sort((a, b) => standsAt(a[0]) - standsAt(b[0]));
/* Where a group stands among the others: as people read their names, or as the manifest lists them. */
const standsAt = (g) => grouping.order === "listed" ? DATA.groups[grouping.label].listed.indexOf(g) : g;
function groupsSvg(width) {
  const { label, groups } = DATA.groups[grouping.label], { set, rows } = groupingRows(), pairs = grouping.view === "pairs";
  const left = Math.min(190, width * 0.34), right = width - 16, members = [...new Set(rows.flatMap(drawnIn).map((one) => one[0]))].sort((a, b) => standsAt(a) - standsAt(b));
  const sizes = (g) => Math.max(...rows.flatMap(drawnIn).filter((one) => one[0] === g).map((one) => one[1]));
  const words = (g) => pairs ? `${groups[g]} less ${groups[rows[0][4][0][0]]} (n = ${sizes(g).toLocaleString("en")} pairs)` : `${groups[g]} (n = ${sizes(g).toLocaleString("en")})`;
  const svg = canvas(1, 1, `${pairs ? "Differences within pairs" : "Means"} by ${label} with 95 % intervals, ${plural(rows.length, "score")}; the same numbers are in the table below`);
  svg.append(written(0, 14, `${label}:`));
  const legend = legendAt(svg, Math.min(left, 12 + label.length * 6.4), right, 10, members.map((g) => [(x, y) => marker(x, y, g, lineColour(g)), words(g)]));
  let y = legend + 12;
  // What has a unit of its own has an axis of its own.
  for (const panel of set.family === "value" ? rows.map((row) => [row]) : [rows]) y = groupsPanel(svg, y, panel, { left, right, members, pairs });
  svg.setAttribute("width", width); svg.setAttribute("height", y); svg.setAttribute("viewBox", `0 0 ${width} ${y}`);
  return marked(svg);
}
/* Between which ends a row's numbers lie; null where nobody says, or where a mean does not keep to it. */
function boundsOf(row) {
  if (!row[6]) return null;
  const [low, high] = grouping.view === "pairs" ? [row[6][0] - row[6][1], row[6][1] - row[6][0]] : row[6];
  return drawnIn(row).every((one) => low <= one[2] && one[2] <= high) ? [low, high] : null;
}
const isCut = (row) => { const bounds = boundsOf(row); return bounds && drawnIn(row).some((one) => one[3] !== null && (one[3] < bounds[0] || one[4] > bounds[1])); };
const isAlone = (row) => drawnIn(row).some((one) => one[3] === null);
function groupsPanel(svg, top, panel, { left, right, members, pairs }) {
  const each = 12, height = 10 + members.length * each, bottom = top + panel.length * height + 4, unit = panel[0][2];
  // An interval over two sources reaches far beyond all scores: it does not stretch the axis, and is cut with an arrow.
  const kept = (row) => { const [low, high] = boundsOf(row) || [-Infinity, Infinity]; return (v) => v === null ? v : Math.max(low, Math.min(high, v)); };
  const ends = panel.flatMap((row) => drawnIn(row).flatMap((one) => one[1] > 2 ? [one[2], one[3], one[4]].map(kept(row)) : [one[2]])).filter((v) => v !== null);
  const least = Math.min(...ends), axis = axisOf(pairs ? Math.min(0, least) : least >= 0 && !unit ? 0 : least, Math.max(pairs ? 0 : -Infinity, ...ends), Math.max(3, Math.floor((right - left) / 90)));
  const x = (v) => left + (v - axis.low) / (axis.high - axis.low) * (right - left);
  for (const v of axis.ticks) svg.append(shape("line", { x1: x(v), x2: x(v), y1: top, y2: bottom, stroke: ink("--grid") }), written(x(v), bottom + 14, tickWords(v), { "text-anchor": "middle" }));
  if (pairs) svg.append(shape("line", { x1: x(0), x2: x(0), y1: top, y2: bottom, stroke: ink("--soft"), "stroke-dasharray": "4 3" }));
  panel.forEach((row, r) => {
    const begin = top + r * height, line = shape("g", { tabindex: 0, role: "img", "aria-label": `${row[1]}: ${saidOf(row).join("; ")}` });
    line.append(shape("rect", { x: 0, y: begin, width: right, height, fill: "transparent" }), shape("text", { x: left - 10, y: begin + height / 2 + 4, "text-anchor": "end" }, cut(row[1], Math.floor((left - 10) / 7))));
    const [lowest, highest] = boundsOf(row) || [-Infinity, Infinity];
    // A group has one colour, wherever it stands and whatever else is drawn.
    for (const [g, , mean, low, high] of drawnIn(row)) {
      const i = members.indexOf(g), at = begin + 5 + each * (i + 0.5);
      if (low !== null) {
        const a = Math.max(left, x(Math.max(low, lowest))), b = Math.min(right, x(Math.min(high, highest)));
        line.append(shape("line", { x1: a.toFixed(1), x2: b.toFixed(1), y1: at, y2: at, stroke: lineColour(g), "stroke-width": 2 }));
        for (const [out, end, way] of [[a > x(low), a, -1], [b < x(high), b, 1]]) if (out) line.append(shape("path", { d: `M${end + way * 5},${at}l${-way * 6},-4v8Z`, fill: lineColour(g) }));
      }
      const point = marker(x(mean), at, g, lineColour(g));
      if (low === null) for (const [name, value] of [["fill", ink("--card")], ["stroke", lineColour(g)], ["stroke-width", 1.6], ["class", "alone"]]) point.setAttribute(name, value);
      line.append(point);
    }
    tell(line, () => [row[1], ...saidOf(row)].join("\n"));
    svg.append(line);
  });
  const interval = panel.flatMap(drawnIn).some((one) => one[3] !== null) ? ", with 95 % interval" : "; one source each, no interval";
  svg.append(written((left + right) / 2, bottom + 30, `${pairs ? "difference within pairs" : "mean over sources"}${unit ? `, ${unit}` : ""}${interval}`, { "text-anchor": "middle" }));
  return bottom + 44;
}
function saidOf(row) {
  const { groups } = DATA.groups[grouping.label];
  return drawnIn(row).map(([g, n, mean, low, high]) => `${groups[g]}: ${number(mean)}${low === null ? "" : ` (${number(low)} to ${number(high)})`}, n = ${n.toLocaleString("en")}`);
}
function groupsTable() {
  const { groups } = DATA.groups[grouping.label], { rows } = groupingRows(), pairs = grouping.view === "pairs";
  const body = rows.flatMap((row) => drawnIn(row).map(([g, n, mean, low, high], i) => el("tr", {}, i ? el("td") : el("th", { scope: "row" }, row[1] + (row[2] ? `, ${row[2]}` : "")),
    el("td", {}, pairs ? `${groups[g]} less ${groups[row[4][0][0]]}` : groups[g]), ...[n.toLocaleString("en"), number(mean), low === null ? "" : number(low), high === null ? "" : number(high)].map((cell) => el("td", { class: "number" }, cell)))));
  return scrolling("Groups in numbers", el("table", {}, el("thead", {}, el("tr", {}, ...["Score", pairs ? "Groups" : "Group", "n", "Mean", "95 % from", "to"].map((head, i) => el("th", { scope: "col", class: i > 1 ? "number" : null }, head)))), el("tbody", {}, ...body)));
}
/* All scores of the table, and not those alone that are drawn. */
function groupsCsv(set) {
  const { label, groups } = DATA.groups[grouping.label], pairs = grouping.view === "pairs", numbers = ["n", "mean", "low_95", "high_95"];
  const about = (row) => [set.table, row[0], row[1], row[2]];
  const body = set.rows.flatMap((row) => pairs ? row[4].map(([first, second, ...rest]) => [label, groups[first], groups[second], ...about(row), ...rest]) : drawnIn(row).map(([g, ...rest]) => [label, groups[g], ...about(row), ...rest]));
  return [["label", ...(pairs ? ["first", "second"] : ["group"]), "table", "family", "name", "unit", ...numbers], ...body];
}
function drawGroups() {
  const holder = $("groups-chart");
  if (!holder) return;
  const sets = groupingSets(), { label, left } = DATA.groups[grouping.label];
  const again = (change) => (value) => { change(value); drawGroups(); };
  let current = groupingRows();
  if (grouping.view === "pairs" && !current.set.rows.some((row) => row[4].length)) { grouping.view = "means"; current = groupingRows(); }
  const { set, rows } = current, paired = set.rows.some((row) => row[4].length), shown = new Set([...document.querySelectorAll("#groups details[open]")].map(() => 1));
  const own = sets.indexOf(set);
  renew($("groups-controls"),
    choice("Label", DATA.groups.map((one, i) => [String(i), one.label]), String(grouping.label), again((value) => { grouping.label = +value; })),
    choice("Model", sets.map((one, i) => [String(i), `${one.table}: ${familyWords(one.table, one.family)}`]), String(own), again((value) => { grouping.table = sets[+value].table; grouping.family = sets[+value].family; })),
    choice("Scores", [["apart", "furthest apart"], ["strong", "strongest"], ["all", `all ${set.rows.length}`]], grouping.show, again((value) => { grouping.show = value; })),
    ...(paired ? [choice("Show", [["means", "groups"], ["pairs", "differences within pairs"]], grouping.view, again((value) => { grouping.view = value; }))] : []),
    ...(DATA.groups[grouping.label].listed.some((g, i) => g !== i) ? [choice("Order", [["read", "by name"], ["listed", "as in the manifest"]], grouping.order, again((value) => { grouping.order = value; }))] : []),
    widthField(), saving(groupsSvg, () => ({ title: `${DATA.name}: ${set.table} by ${label}`, notes: [groupsNote(set, rows)] }), () => groupsCsv(set)));
  const table = el("details", { ontoggle: hintScrolling }, el("summary", {}, "The same in numbers"), groupsTable());
  table.open = shown.size > 0;
  holder.replaceChildren(groupsSvg(holder.clientWidth), el("p", { class: "note" }, groupsNote(set, rows) + (left ? ` ${plural(left, "value")} of groups beyond the first twelve are left out.` : "")), table);
}
function groupsNote(set, rows) {
  const unit = grouping.view === "pairs" ? "Mean of differences within pairs, which ids tell" : "Mean over sources, each counted once";
  const [row] = rows.filter(isCut), ends = row && boundsOf(row);
  const cut = row ? ` Cut at ${ends[0]} and ${ends[1]}, beyond which no ${grouping.view === "pairs" ? "difference" : "score"} lies: an interval so wide is of too few sources to tell anything.` : "";
  const alone = rows.some(isAlone) ? " Hollow: a single source, without an interval." : "";
  const order = { apart: `the ${rows.length} of ${set.rows.length} that lie furthest apart`, strong: `the ${rows.length} strongest of ${set.rows.length}`, all: `all ${rows.length}` }[grouping.show];
  return `${unit}; lines are 95 % intervals (Student's t; with an arrow where they go on).${alone}${cut} Model ${set.table}, ${familyWords(set.table, set.family)}: ${order}.`;
}
