/* One source in one table: its strongest scores, all of them on request, over time, and with the words. */
const shownFamily = {};
const BARS = 8;
function drawModel(holder, source, model, part) {
  const sets = SETS.filter((set) => set.model === model && scoresOf(part, set));
  holder.append(el("h3", {}, model), el("p", { class: "note" }, `${plural(part.n, "row")}: ${DATA.models[model].row}.` + (part.stride > 1 ? ` Every ${part.stride}th is drawn.` : "") + (part.groups.length > 1 ? ` Told apart: ${part.groups.slice(0, 12).join(", ")}.` : "")));
  if (DATA.models[model].named) drawNamed(holder, model, part);
  if (sets.length) drawScores(holder, source, model, part, sets);
  const set = sets.find((one) => one.first), timed = part.rows.filter((row) => row[0] !== null);
  if (set && timed.length > 1) drawTimeline(holder, source, model, part, rankOf(part, set), timed);
  const texts = part.rows.filter((row) => row[3] !== null);
  if (texts.length && !DATA.models[model].named) drawTexts(holder, model, part, texts);
}
/* [mean, place] of the scores that are there, the strongest first; levels in their own order. */
function rankOf(part, set) {
  const scores = scoresOf(part, set), known = set.names.map((_, i) => [scores.mean[i], i]).filter((pair) => pair[0] !== null && pair[0] !== undefined);
  return set.levels ? known : known.sort((a, b) => weight(scores, b[1], part.n) - weight(scores, a[1], part.n));
}
function drawScores(holder, source, model, part, sets) {
  const board = el("div"), switches = el("div", { class: "switches", role: "group", "aria-label": "Which scores" });
  let all = false;
  const paint = () => {
    const set = sets.find((one) => one.family === shownFamily[model]) || sets[0], ranked = rankOf(part, set), shown = all || set.levels ? ranked : ranked.slice(0, BARS);
    const draw = (width) => barsSvg(Math.min(width, 640), shown, set, part), caption = barsCaption(part, set);
    renew(switches, ...(sets.length > 1 ? sets.map((one) => el("button", { type: "button", "aria-pressed": one === set ? "true" : "false", onclick: () => { shownFamily[model] = one.family; all = false; paint(); } }, familyWords(model, one.family))) : []),
      ...(ranked.length > shown.length || all ? [el("button", { type: "button", "aria-pressed": all ? "true" : "false", onclick: () => { all = !all; paint(); } }, `all ${ranked.length}`)] : []),
      saving(draw, () => ({ title: `${name(source)}: ${model}, ${familyWords(model, set.family)}`, notes: [`n = ${plural(part.n, "row")}. ${someOf(shown.length, ranked.length, "the strongest")} ${caption}`] })));
    board.replaceChildren(...(ranked.length ? [el("figure", {}, draw(holder.clientWidth), el("figcaption", {}, caption))] : [el("p", { class: "note" }, "No row has such a score.")]));
  };
  paint();
  holder.append(switches, board);
}
const barsCaption = (part, set) => part.n < 2 ? "Of the one row that there is." : DATA.models[set.model].open ? "Bar and number: mean over the rows that have the score, and how many those are. A score that is not there was below the service's cutoff, which is not zero. Line and dot: highest." : `Bar and number: mean over all rows. ${Object.keys(scoresOf(part, set).peak).length ? "Line and dot: highest." : ""}`;
function barsSvg(width, shown, set, part) {
  const scores = scoresOf(part, set), often = (i) => scores.count ? `, ${scores.count[i]} of ${part.n}` : "", label = Math.min(170, width * 0.4), room = scores.count ? 104 : 44, row = 26;
  const high = Math.max(...shown.map((b) => Math.max(b[0], part.n > 1 ? scores.peak[b[1]] ?? 0 : 0)), 1) / 1000, axis = axisOf(0, high, 5), bottom = shown.length * row + 2;
  const svg = canvas(width, bottom + 36, `${familyWords(set.model, set.family)} by mean score`), x = (v) => label + v / 1000 / axis.high * (width - label - room);
  for (const v of axis.ticks) svg.append(shape("line", { x1: x(v * 1000), x2: x(v * 1000), y1: 0, y2: bottom, stroke: ink("--grid") }), written(x(v * 1000), bottom + 14, tickWords(v), { "text-anchor": "middle" }));
  svg.append(written(label, bottom + 30, part.n > 1 ? "mean score over rows" : "score"));
  shown.forEach(([value, i], y) => {
    const above = y * row, title = set.levels ? `level ${set.names[i]}` : set.names[i].replaceAll("_", " "), peak = part.n > 1 ? scores.peak[i] : undefined;
    const line = shape("g", { tabindex: 0, role: "img", "aria-label": `${title}: mean ${score(value)}${peak === undefined ? "" : `, highest ${score(peak)}`}${often(i)}` });
    line.append(shape("rect", { x: 0, y: above, width, height: row, fill: "transparent" }), shape("text", { x: label - 8, y: above + 15, "text-anchor": "end" }, cut(title, Math.floor(label / 7))));
    line.append(shape("rect", { x: label, y: above + 3, width: Math.max(1, x(value) - label).toFixed(1), height: 14, rx: 2, fill: lineColour(0) }));
    if (peak !== undefined) line.append(shape("line", { x1: x(value), x2: x(peak), y1: above + 21, y2: above + 21, stroke: ink("--soft") }), shape("circle", { cx: x(peak), cy: above + 21, r: 2.6, fill: ink("--soft") }));
    line.append(written(x(value) + 5, above + 14, score(value) + (part.n > 1 ? often(i) : ""), { fill: ink("--ink"), stroke: ink("--card"), "stroke-width": 3, "paint-order": "stroke", "stroke-linejoin": "round" }));
    tell(line, `${title}\nmean ${score(value)}${peak === undefined ? "" : `\nhighest ${score(peak)}`}${often(i)}`);
    svg.append(line);
  });
  return marked(svg);
}

/* Over time. The strongest of each source are drawn, unless the reader chose; then what was chosen, wherever it is. */
const picked = {};
function drawTimeline(holder, source, model, part, best, timed) {
  const names = DATA.models[model].names, at = new Map((part.shown || names.map((_, i) => i)).map((i, position) => [i, position]));
  const offered = best.map((b) => b[1]).filter((i) => at.has(i)), usual = offered.slice(0, 3);
  const chosen = () => { const mine = (picked[model] || []).filter((i) => at.has(i)); return mine.length ? mine : usual; };
  const board = el("figure"), readout = el("p", { class: "readout", role: "status" }), chips = el("div", { class: "chips", role: "group", "aria-label": "Scores drawn" });
  const pick = (these) => { picked[model] = these.length ? these.slice(-8) : null; paint(); };
  const told = () => ({ title: `${name(source)}: ${model} over time`, notes: [`Model ${model}; n = ${plural(part.n, "row")}: ${DATA.models[model].row}.${part.stride > 1 ? ` Every ${part.stride}th is drawn.` : ""} ${someOf(chosen().length, best.length, picked[model] ? "" : "the strongest")}`] });
  const draw = (width) => timelineSvg(width, names, part, timed, chosen(), at, readout);
  const paint = () => { drawChips(); board.replaceChildren(draw(holder.clientWidth)); };
  const drawChips = () => {
    const mine = chosen(), some = [...new Set([...mine, ...offered.slice(0, 8)])];
    const rest = offered.filter((i) => !some.includes(i)).sort((a, b) => natural(names[a], names[b]));
    const more = rest.length ? choice("", [["", `another of ${offered.length}…`], ...rest.map((i) => [String(i), names[i]])], "", (value) => { if (value) pick([...mine, +value]); }) : null;
    if (more) more.querySelector("select").setAttribute("aria-label", "Add a score");
    renew(chips, ...some.map((i) => {
      const on = mine.indexOf(i), swatch = el("span", { class: "swatch", "aria-hidden": "true" });
      if (on >= 0) swatch.style.background = lineColour(on); else swatch.style.display = "none";
      return el("button", { type: "button", "aria-pressed": on >= 0 ? "true" : "false", onclick: () => pick(on >= 0 ? mine.filter((j) => j !== i) : [...mine, i]) }, swatch, names[i]);
    }), more, picked[model] ? el("button", { type: "button", onclick: () => pick([]) }, "the strongest of each source") : "", saving(draw, told));
  };
  paint();
  holder.append(chips, board, readout);
}
const spans = (row) => row[1] !== null && row[1] > row[0];
const middle = (row) => spans(row) ? (row[0] + row[1]) / 2 : row[0];
function timelineSvg(width, names, part, timed, chosen, at, readout) {
  const many = part.groups.length > 1, left = 52, right = 14, svg = canvas(1, 1, "Timeline of the chosen scores; arrow keys move along it");
  const keys = chosen.map((i, c) => [(x, y) => shape("rect", { x: x - 7, y: y - 2, width: 16, height: 4, fill: lineColour(c) }), names[i]]);
  const voices = many ? part.groups.slice(0, 6).map((group, g) => [(x, y) => [shape("line", { x1: x - 8, x2: x + 10, y1: y, y2: y, stroke: ink("--ink"), "stroke-width": 1.6, "stroke-dasharray": DASHES[g % DASHES.length] }), marker(x + 1, y, g, ink("--ink"))], cut(group, 16)]) : [];
  let top = 8;
  if (paper) top += legendAt(svg, left, width - right, top + 4, keys);
  top += legendAt(svg, left, width - right, top + 4, voices) + 4;
  const bottom = top + 216, height = bottom + 40;
  svg.setAttribute("width", width); svg.setAttribute("height", height); svg.setAttribute("viewBox", `0 0 ${width} ${height}`); svg.setAttribute("tabindex", 0);
  const first = timed.reduce((low, r) => Math.min(low, r[0]), Infinity), last = timed.reduce((high, r) => Math.max(high, r[1] ?? r[0]), first + 0.001);
  const axis = axisOf(0, timed.reduce((high, r) => chosen.reduce((h, i) => Math.max(h, r[4][at.get(i)] ?? 0), high), 10) / 1000, 5);
  const x = (t) => left + (t - first) / (last - first) * (width - left - right), y = (v) => bottom - v / 1000 / axis.high * (bottom - top);
  for (const v of axis.ticks) svg.append(shape("line", { x1: left, x2: width - right, y1: y(v * 1000), y2: y(v * 1000), stroke: ink("--grid") }), written(left - 6, y(v * 1000) + 4, tickWords(v), { "text-anchor": "end" }));
  for (const moment of ticksOf(first, last, Math.max(4, Math.floor(width / 100)))) svg.append(shape("line", { x1: x(moment), x2: x(moment), y1: bottom, y2: bottom + 4, stroke: ink("--soft") }), written(x(moment), bottom + 17, timeWords(moment, last - first), { "text-anchor": x(moment) > width - 24 ? "end" : "middle" }));
  svg.append(written((left + width - right) / 2, bottom + 34, timeTitle(last - first), { "text-anchor": "middle" }), written(0, 0, "score", { transform: `translate(12,${(top + bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }));
  part.groups.forEach((group, g) => {
    const mine = timed.filter((r) => r[2] === g).sort((a, b) => a[0] - b[0]), usual = usualGap(momentsOf(mine.filter((r) => !spans(r))));
    chosen.forEach((i, c) => drawLine(svg, mine, (r) => r[4][at.get(i)], { x, y, usual, colour: lineColour(c), group: g, many }));
  });
  pointing(svg, { width, top, bottom, x, y, names, part, timed, chosen, at, readout, many });
  return marked(svg);
}
/* What has a begin and an end is a stretch at its score; moments are joined while they follow each other: a line ends
   where the score does, and where nothing was measured for longer than usual. */
function drawLine(svg, mine, valueOf, { x, y, usual, colour, group, many }) {
  const runs = [[]];
  let before = null;
  for (const r of mine) {
    const value = valueOf(r);
    if (value !== null && value !== undefined && spans(r)) {
      const a = x(r[0]), b = Math.max(a + 2, x(r[1]));
      svg.append(shape("path", { class: "stretch", d: `M${a.toFixed(1)},${y(value).toFixed(1)}H${b.toFixed(1)}`, stroke: colour, "stroke-width": 4, fill: "none" }));
      if (many) svg.append(marker((a + b) / 2, y(value), group, colour));
      continue;
    }
    if (value === null || value === undefined || (before !== null && r[0] - before > usual * 2.5)) { if (runs.at(-1).length) runs.push([]); }
    if (value !== null && value !== undefined) { runs.at(-1).push([x(r[0]), y(value)]); before = r[0]; }
  }
  const count = runs.reduce((sum, points) => sum + points.length, 0);
  for (const points of runs) {
    if (points.length > 1) svg.append(shape("polyline", { points: points.map((p) => p.map((v) => v.toFixed(1)).join(",")).join(" "), fill: "none", stroke: colour, "stroke-width": 2, "stroke-linejoin": "round", "stroke-dasharray": DASHES[group % DASHES.length] || null }));
    if (count < 60 || points.length === 1) for (const p of points) svg.append(marker(p[0], p[1], group, colour));
  }
}
function pointing(svg, { width, top, bottom, x, y, names, part, timed, chosen, at, readout, many }) {
  const rule = shape("line", { y1: top, y2: bottom, stroke: ink("--soft"), "stroke-dasharray": "3 3", visibility: "hidden" });
  svg.append(rule);
  const ordered = [...timed].sort((a, b) => middle(a) - middle(b));
  let now = -1;
  const words = (r) => [`${clock(r[0])}${spans(r) ? ` to ${clock(r[1])}` : ""}${many ? `, ${part.groups[r[2]]}` : ""}`, ...chosen.map((i) => `${names[i]} ${score(r[4][at.get(i)])}`), ...(r[3] ? [`“${cut(r[3], 90)}”`] : [])];
  const point = (index) => { now = index; const r = ordered[index]; for (const end of ["x1", "x2"]) rule.setAttribute(end, x(middle(r))); rule.setAttribute("visibility", "visible"); return words(r); };
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect(), px = (event.clientX - box.left) * width / box.width, py = event.clientY - box.top;
    let nearest = 0, least = Infinity;
    ordered.forEach((r, index) => { const d = Math.abs(x(middle(r)) - px) + (many ? 0.05 * Math.min(...chosen.map((i) => Math.abs(y(r[4][at.get(i)] ?? 0) - py)), 999) : 0); if (d < least) { least = d; nearest = index; } });
    showTip(point(nearest).join("\n"), event.clientX, event.clientY);
  });
  svg.addEventListener("pointerleave", () => { hideTip(); rule.setAttribute("visibility", "hidden"); });
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    readout.textContent = point(Math.max(0, Math.min(ordered.length - 1, now + step))).join(" · ");
  });
}

/* Words with their scores, some rows first. */
function longTable(holder, label, heads, rows, row, kind) {
  let open = 12;
  const body = el("tbody"), more = el("p");
  const fill = () => {
    body.replaceChildren(...rows.slice(0, open).map(row));
    renew(more, ...(open < rows.length ? [el("button", { type: "button", onclick: () => { open += 50; fill(); } }, `Show more of ${rows.length}`)] : []));
  };
  fill();
  holder.append(scrolling(label, el("table", { class: kind }, el("thead", {}, el("tr", {}, ...heads.map((h) => el("th", { scope: "col" }, h)))), body)), more);
}
const bestWords = (row, names, shown) => row[4].map((v, i) => [v, shown[i]]).filter((p) => p[0] !== null).sort((a, b) => b[0] - a[0]).slice(0, 3).map((p) => `${names[p[1]]} ${score(p[0])}`).join(", ");
function drawTexts(holder, model, part, texts) {
  const { names } = DATA.models[model], shown = part.shown || names.map((_, i) => i), mine = SETS.filter((set) => set.model === model);
  const levels = texts.some((r) => r[5] !== null) ? mine.find((set) => set.levels) : null, kinds = texts.some((r) => r[6] !== null) ? mine.find((set) => set.kinds) : null, anyTime = texts.some((r) => r[0] !== null);
  const called = (set) => capital(familyWords(model, set.family));
  const heads = [anyTime ? "At" : null, "Words", "Strongest", levels ? `${called(levels)}, 1 to ${levels.names.length}` : null, kinds ? `${called(kinds)}, strongest` : null].filter(Boolean);
  longTable(holder, `${model}: words and their scores`, heads, texts, (r) => el("tr", {}, anyTime ? el("td", {}, r[0] === null ? "" : clock(r[0])) : null, el("td", {}, r[3]), el("td", {}, bestWords(r, names, shown)),
    levels ? el("td", { class: "number" }, r[5] === null ? "" : (r[5] / 1000).toFixed(2)) : null, kinds ? el("td", {}, r[6] === null ? "" : `${kinds.names[r[6][0]].replaceAll("_", " ")} ${score(r[6][1])}`) : null), anyTime ? "texts" : "");
}
/* Who and what is named, how often, and with which scores. */
function drawNamed(holder, model, part) {
  const { names, named } = DATA.models[model], shown = part.shown || names.map((_, i) => i), found = new Map();
  for (const row of part.rows) if (row[3] !== null) { if (!found.has(row[3])) found.set(row[3], []); found.get(row[3]).push(row); }
  const mentioned = [...found.entries()].sort((a, b) => b[1].length - a[1].length || natural(a[0], b[0])), anyTime = part.rows.some((row) => row[0] !== null);
  if (!mentioned.length) return;
  longTable(holder, `${model}: ${named[1]}`, [capital(named[0]), "Mentions", anyTime ? "First at" : null, "Strongest at its first mention"].filter(Boolean), mentioned, ([what, rows]) => el("tr", {}, el("th", { scope: "row" }, what), el("td", { class: "number" }, rows.length.toLocaleString("en")), anyTime ? el("td", {}, rows[0][0] === null ? "" : clock(rows[0][0])) : null, el("td", {}, bestWords(rows[0], names, shown))), "");
}
