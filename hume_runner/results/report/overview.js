/* Labels group and colour. */
let groupBy = "";
const groupValues = new Map();
function groupOf(source) { return groupBy ? (source.l && source.l[groupBy] !== undefined ? source.l[groupBy] : "(none)") : ""; }
function regroup() {
  groupValues.clear();
  if (!groupBy) return;
  // As groups stand side by side: a colour means the same all over the page.
  const known = (DATA.groups.find((one) => one.label === groupBy) || { groups: [] }).groups, at = (value) => known.includes(value) ? known.indexOf(value) : known.length;
  [...new Set(DATA.sources.map(groupOf))].sort((a, b) => at(a) - at(b) || natural(a, b)).forEach((value, i) => groupValues.set(value, i));
}
const groupColour = (source) => lineColour(groupValues.get(groupOf(source)) || 0);

/* Heat map: sources by scores, the strongest of all sources first. The table that covers most sources comes first. */
const coverage = (set) => DATA.models[set.model].covered;
const heat = { set: SETS.filter((set) => set.first).reduce((best, set) => !best || coverage(set) > coverage(best) ? set : best, null), sort: -1, page: 0, columns: 0, per: "source" };
function averagesOf(set) {
  if (set.averages) return set.averages;
  const width = set.names.length, sums = new Array(width).fill(0), counts = new Array(width).fill(0);
  let all = 0;
  for (const source of DATA.sources) {
    const scores = source.m && scoresOf(source.m[set.model], set);
    if (!scores) continue;
    all++;
    for (let i = 0; i < width; i++) if (scores.mean[i] !== null && scores.mean[i] !== undefined) { sums[i] += weight(scores, i, source.m[set.model].n); counts[i]++; }
  }
  return set.averages = sums.map((sum, i) => counts[i] ? sum / (DATA.models[set.model].open ? all : counts[i]) : null);
}
/* Levels have an order of their own; all else goes by strength. */
function columnsOf(set) {
  const averages = averagesOf(set), known = set.names.map((_, i) => i).filter((i) => averages[i] !== null);
  return set.levels ? known : known.sort((a, b) => averages[b] - averages[a]);
}
function heatRows() {
  const rows = inOrder.map((source) => ({ source, scores: source.m && scoresOf(source.m[heat.set.model], heat.set) })).filter((row) => row.scores).map(({ source, scores }) => ({ source, mean: scores.mean, name: name(source), group: groupOf(source), n: source.m[heat.set.model].n }));
  let shown = rows;
  if (heat.per === "group" && groupBy) {
    const groups = new Map();
    for (const row of rows) { if (!groups.has(row.group)) groups.set(row.group, []); groups.get(row.group).push(row); }
    shown = [...groups.entries()].map(([group, members]) => ({ group, name: `${groupBy}: ${group}`, n: members.length, sample: members[0].source, mean: heat.set.names.map((_, i) => {
      const known = members.map((row) => row.mean[i]).filter((v) => v !== null && v !== undefined);
      return known.length ? Math.round(known.reduce((a, b) => a + b, 0) / known.length) : null;
    }) }));
  }
  if (heat.sort >= 0) return shown.sort((a, b) => (b.mean[heat.sort] ?? -1) - (a.mean[heat.sort] ?? -1));
  return groupBy ? shown.sort((a, b) => groupValues.get(a.group) - groupValues.get(b.group)) : shown;
}
function heatView(width) {
  const rows = heatRows(), columns = columnsOf(heat.set), labels = Math.min(230, width * 0.34), wide = width - labels - 46;
  const count = Math.max(1, Math.min(columns.length, Math.max(6, Math.floor(wide / (width < 500 ? 20 : 30))), 24));
  const pages = Math.max(1, Math.ceil(rows.length / HEAT_PAGE)), columnPages = Math.max(1, Math.ceil(columns.length / count));
  heat.page = Math.min(heat.page, pages - 1); heat.columns = Math.min(heat.columns, columnPages - 1);
  // The last page is as full as the others.
  const from = Math.max(0, Math.min(heat.columns * count, columns.length - count));
  return { rows, columns, labels, wide, pages, columnPages, from, drawn: columns.slice(from, from + count), shown: rows.slice(heat.page * HEAT_PAGE, (heat.page + 1) * HEAT_PAGE) };
}
function heatSvg(width) {
  const { rows, columns, labels, wide, drawn, shown } = heatView(width), set = heat.set, top = 118, cell = Math.min(46, wide / drawn.length), row = 24;
  const lowest = DATA.models[set.model].open ? set.first ? DATA.models[set.model].lowest : rows.reduce((low, r) => r.mean.reduce((l, v) => v === null || v === undefined ? l : Math.min(l, v), low), 1000) : 0;
  const scale = colourScale(lowest, rows.reduce((high, r) => columns.reduce((h, i) => Math.max(h, r.mean[i] ?? 0), high), 1));
  const height = top + shown.length * row + 58, svg = canvas(width, height, `Heat map of ${plural(shown.length, "row")} by ${plural(drawn.length, "score")}`);
  drawn.forEach((i, x) => {
    const head = shape("text", { transform: `translate(${labels + x * cell + cell / 2 + 4},${top - 8}) rotate(-52)`, tabindex: 0, role: "button", "data-go": "", "font-weight": heat.sort === i ? 700 : 400, "aria-label": `Sort by ${set.names[i]}` }, cut(set.names[i], 21) + (heat.sort === i ? " ▾" : ""));
    act(head, () => { heat.sort = heat.sort === i ? -1 : i; heat.page = 0; drawHeat(); });
    svg.append(head);
  });
  shown.forEach((entry, y) => {
    const above = top + y * row, source = entry.source;
    const line = shape("g", { tabindex: 0, role: "button", "data-go": "", "aria-label": `${entry.name}: ${drawn.slice(0, 3).map((i) => `${set.names[i]} ${score(entry.mean[i])}`).join(", ")}` });
    line.append(shape("rect", { x: 0, y: above, width, height: row - 1, fill: "transparent" }));
    if (groupBy) line.append(shape("rect", { x: 0, y: above + 5, width: 8, height: 13, rx: 2, fill: groupColour(source || entry.sample) }));
    line.append(shape("text", { x: groupBy ? 14 : 0, y: above + 16 }, cutName(entry.name, Math.floor((labels - (groupBy ? 20 : 6)) / 6.7))));
    drawn.forEach((i, x) => {
      const value = entry.mean[i] ?? null;
      const square = shape("rect", { x: (labels + x * cell).toFixed(1), y: above, width: (cell - 1.5).toFixed(1), height: row - 1.5, rx: 2.5, fill: value === null ? ink("--empty") : scale.at(value) });
      tell(square, () => `${entry.name}${source && alias(source) ? `\n${cut(alias(source), 90)}` : ""}\n${set.names[i]}: ${score(value)}\n${source ? plural(entry.n, "row") : plural(entry.n, "source")}${source && groupBy ? `\n${groupBy}: ${entry.group}` : ""}`);
      line.append(square);
    });
    act(line, () => source ? choose(source, true) : filterGroup(entry.group));
    svg.append(line);
  });
  colourLegend(svg, labels, height - 26, Math.min(220, Math.max(120, wide - 20)), scale, "mean score");
  return marked(svg);
}
function drawHeat() {
  const holder = $("overview-chart");
  if (!holder) return;
  if (!heat.set) { holder.replaceChildren(el("p", { class: "note" }, "No source has a measurement yet.")); return; }
  const view = heatView(holder.clientWidth);
  renew(holder, heatSvg(holder.clientWidth));
  renew(heat.pager, ...pagerParts(heat.page, view.pages, (page) => { heat.page = page; drawHeat(); }));
  renew(heat.across, ...(view.columnPages > 1 ? [el("span", {}, `Scores ${view.from + 1} to ${view.from + view.drawn.length} of ${view.columns.length}, strongest first`),
    el("button", { type: "button", disabled: heat.columns === 0, onclick: () => { heat.columns--; drawHeat(); } }, "Stronger"), el("button", { type: "button", disabled: heat.columns >= view.columnPages - 1, onclick: () => { heat.columns++; drawHeat(); } }, "Weaker")] : []));
  const names = [...view.columns].sort((a, b) => natural(heat.set.names[a], heat.set.names[b]));
  renew(heat.sorter, choice("Sort by", [["-1", "name"], ...names.map((i) => [String(i), heat.set.names[i]])], String(heat.sort), (value) => {
    heat.sort = +value; heat.page = 0;
    const count = view.drawn.length, at = view.columns.indexOf(heat.sort);
    if (at >= 0) heat.columns = Math.floor(at / count);
    drawHeat();
  }));
}
const setWords = (set) => `${set.model}${DATA.models[set.model].more && SETS.filter((one) => one.model === set.model).length > 1 ? `: ${familyWords(set.model, set.family)}` : ""}`;
function namingChoice() {
  const made = choice("Names", [["id", "ids"], ["name", "file names, words"]], naming, (value) => {
    naming = value; reorder();
    for (const select of document.querySelectorAll("select.naming")) select.value = value;
    drawHeat(); drawList(); drawDetail();
  });
  made.querySelector("select").className = "naming";
  return made;
}
function setUpHeat() {
  const controls = $("overview-controls");
  heat.pager = el("span", { class: "pager" }); heat.across = el("span", { class: "pager" }); heat.sorter = el("span");
  heat.keys = el("div", { class: "chips" });
  if (!controls) return;
  const sets = SETS.filter((set) => averagesOf(set).some((v) => v !== null));
  if (sets.length > 1) controls.append(choice("Model", sets.map((set) => [String(SETS.indexOf(set)), `${setWords(set)} (${coverage(set).toLocaleString("en")})`]), String(SETS.indexOf(heat.set)), (value) => { heat.set = SETS[+value]; heat.sort = -1; heat.columns = 0; drawHeat(); }));
  if (heat.set) controls.append(heat.sorter);
  controls.append(namingChoice());
  if (DATA.labels.length) {
    controls.append(choice("Colour and group by", [["", "nothing"], ...DATA.labels.map((l) => [l, l])], "", (value) => { groupBy = value; heat.page = 0; regroup(); drawHeat(); drawList(); drawKeys(); }));
    controls.append(choice("Rows", [["source", "a source each"], ["group", "a group's mean"]], "source", (value) => { heat.per = value; heat.page = 0; drawHeat(); }));
  }
  if (heat.set) controls.append(widthField(), saving(heatSvg, () => ({ title: `${DATA.name}: ${setWords(heat.set)}, ${heat.per === "group" && groupBy ? `groups by ${groupBy}` : "source by source"}`, notes: [`Model ${heat.set.model}; n = ${plural(heatRows().length, heat.per === "group" && groupBy ? "group" : "source")}, of which ${heatView(600).shown.length} are drawn. ${someOf(heatView(Math.round(shot.mm * PIXELS) - 24).drawn.length, columnsOf(heat.set).length, heat.columns ? "" : "the strongest")} Each square is the mean over all rows of a source that have the score.`] })));
  controls.append(heat.pager);
  controls.after(heat.across, heat.keys);
}
function drawKeys() {
  heat.keys.replaceChildren(...[...groupValues.entries()].slice(0, 24).map(([value, i]) => {
    const dot = el("span", { class: "dot" }); dot.style.background = lineColour(i);
    return el("span", { class: "tag" }, dot, `${groupBy}: ${value}`);
  }));
}
function filterGroup(group) { $("search").value = `${groupBy}: ${group}`; list.page = 0; drawList(); $("sources").scrollIntoView(); $("search").focus(); }
