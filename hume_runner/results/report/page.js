"use strict";
/* Draws the report from the JSON in the page. Nothing is loaded, nothing is sent, and every word from outside goes
   through textContent or setAttribute, never through markup. */
(() => {
const DATA = JSON.parse(document.getElementById("data").textContent);
const MODELS = Object.keys(DATA.models);
const SVG = "http://www.w3.org/2000/svg";
// Okabe and Ito's colours, told apart by colour-blind people; yellow and black are left out, which vanish on one ground.
const LINES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a6fbf", "#7a7a7a"];
const LINES_DARK = ["#5aa9e6", "#f0803c", "#2fc79b", "#e29cc6", "#f0b73f", "#8fd0f5", "#b49fe0", "#b0b0b0"];
const DASHES = ["", "7 4", "2 4", "10 3 2 3", "14 4", "4 2"];
const CIVIDIS = [[0, 34, 78], [18, 53, 112], [59, 73, 108], [87, 93, 109], [112, 113, 115], [138, 134, 120], [165, 156, 116], [195, 179, 105], [225, 204, 85], [254, 232, 56]];
const PAGE = innerWidth < 760 ? 8 : 25, HEAT_PAGE = 30;
const dark = matchMedia("(prefers-color-scheme: dark)");
const $ = (id) => document.getElementById(id);
// Paper is white whatever the screen is, and drawings carry their colours with them.
const PAPER = { "--ink": "#000", "--soft": "#444", "--line": "#ccc", "--grid": "#ddd", "--empty": "#eee", "--card": "#fff", "--pending": "#b9b9b2", "--failed": "#d55e00" };
let paper = false;
const ink = (name) => paper ? PAPER[name] : getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const lineColour = (i) => (dark.matches && !paper ? LINES_DARK : LINES)[i % LINES.length];

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}
function shape(tag, attributes = {}, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null && value !== undefined) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}
function canvas(width, height, label) {
  return shape("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": label,
    "font-family": "system-ui, Segoe UI, Roboto, Helvetica, Arial, sans-serif", "font-size": 12, fill: ink("--ink") });
}
const score = (thousandths) => thousandths === null || thousandths === undefined ? "none" : (thousandths / 1000).toFixed(3);
const cut = (text, most) => text.length > most ? text.slice(0, Math.max(1, most - 1)) + "…" : text;
const place = (source) => source.s || source.i;
// A URL or path is known by its end; all of it stands in the source's own section.
const name = (source) => source.k === "text" ? place(source) : place(source).replace(/\?…$/, "").split("/").filter(Boolean).pop() || place(source);
const plural = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
const clock = (s) => s >= 60 ? `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}` : `${+s.toFixed(2)} s`;

/* Tooltip: follows the pointer, or stands beside what has the focus. */
const tip = $("tip");
function showTip(text, x, y) {
  tip.textContent = text; tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = Math.max(4, Math.min(x + 14, innerWidth - box.width - 6)) + "px";
  tip.style.top = (y + 18 + box.height > innerHeight ? y - box.height - 10 : y + 18) + "px";
}
const hideTip = () => { tip.hidden = true; };
function tell(node, text) {
  node.addEventListener("pointermove", (event) => showTip(typeof text === "function" ? text() : text, event.clientX, event.clientY));
  node.addEventListener("pointerleave", hideTip);
  node.addEventListener("focus", () => { const box = node.getBoundingClientRect(); showTip(typeof text === "function" ? text() : text, box.left, box.bottom - 14); });
  node.addEventListener("blur", hideTip);
}
addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });
addEventListener("scroll", hideTip, { passive: true });

/* A drawing as a picture: the same SVG on the page's ground, twice as fine. */
function saveButton(find, name) {
  return el("button", { type: "button", class: "save", onclick: () => {
    const svg = find().cloneNode(true), width = +svg.getAttribute("width"), height = +svg.getAttribute("height");
    const extra = DATA.simulated ? 24 : 0;
    svg.setAttribute("height", height + extra); svg.setAttribute("viewBox", `0 0 ${width} ${height + extra}`);
    svg.prepend(shape("rect", { width, height: height + extra, fill: ink("--card") }));
    if (extra) svg.append(shape("text", { x: 8, y: height + 16, "font-weight": 700, fill: ink("--ink") }, "SIMULATED SCORES: no measurement"));
    const image = new Image();
    image.onload = () => {
      const board = document.createElement("canvas");
      board.width = width * 2; board.height = (height + extra) * 2;
      board.getContext("2d").drawImage(image, 0, 0, board.width, board.height);
      el("a", { href: board.toDataURL("image/png"), download: name.replace(/[^\w.-]+/g, "_").slice(0, 80) + ".png" }).click();
    };
    image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(new XMLSerializer().serializeToString(svg));
  } }, "Save picture");
}
function choice(label, options, value, change) {
  const select = el("select", { onchange: () => change(select.value) }, ...options.map(([key, words]) => el("option", { value: key, selected: key === value }, words)));
  return el("label", {}, label, select);
}

/* Labels group and colour. */
let groupBy = "";
const groupValues = new Map();
function groupOf(source) { return groupBy ? (source.l && source.l[groupBy] !== undefined ? source.l[groupBy] : "(none)") : ""; }
function regroup() {
  groupValues.clear();
  if (!groupBy) return;
  const counts = new Map();
  for (const source of DATA.sources) counts.set(groupOf(source), (counts.get(groupOf(source)) || 0) + 1);
  [...counts.entries()].sort((a, b) => a[0].localeCompare(b[0], "en", { numeric: true })).forEach(([name], i) => groupValues.set(name, i));
}
const groupColour = (source) => lineColour(groupValues.get(groupOf(source)) || 0);

/* Heat map: sources by the expressions that are strongest over all of them. */
const heat = { model: MODELS[0], sort: -1, page: 0, per: "source" };
function colourAt(share) {
  const at = Math.max(0, Math.min(1, share)) * (CIVIDIS.length - 1), low = Math.floor(at), rest = at - low;
  const high = Math.min(low + 1, CIVIDIS.length - 1);
  return `rgb(${CIVIDIS[low].map((c, i) => Math.round(c + (CIVIDIS[high][i] - c) * rest)).join(",")})`;
}
/* Open names: a row has a score only where it was above a cutoff, so a mean is over the rows that have it, and what is
   there often and strongly goes before what was there once. */
for (const source of DATA.sources) for (const part of Object.values(source.m || {})) if (part.open) {
  const model = MODELS.find((name) => source.m[name] === part);
  part.mean = new Array(DATA.models[model].names.length).fill(null); part.peak = {}; part.count = {};
  for (const [i, mean, peak, count] of part.open) { part.mean[i] = mean; part.peak[i] = peak; part.count[i] = count; }
}
const weight = (part, i) => part.count ? part.mean[i] * part.count[i] / part.n : part.mean[i];
const averages = {};
for (const model of MODELS) {
  const width = DATA.models[model].names.length, sums = new Array(width).fill(0), counts = new Array(width).fill(0);
  let all = 0;
  for (const source of DATA.sources) if (source.m && source.m[model]) { const part = source.m[model]; all++; part.mean.forEach((v, i) => { if (v !== null) { sums[i] += weight(part, i); counts[i]++; } }); }
  averages[model] = sums.map((sum, i) => counts[i] ? sum / (DATA.models[model].open ? all : counts[i]) : null);
}
function heatRows() {
  const rows = DATA.sources.filter((source) => source.m && source.m[heat.model]).map((source) => ({ source, mean: source.m[heat.model].mean, name: name(source), group: groupOf(source), n: source.m[heat.model].n }));
  let shown = rows;
  if (heat.per === "group" && groupBy) {
    const groups = new Map();
    for (const row of rows) { if (!groups.has(row.group)) groups.set(row.group, []); groups.get(row.group).push(row); }
    shown = [...groups.entries()].map(([group, members]) => ({ group, name: `${groupBy}: ${group}`, n: members.length, sample: members[0].source, mean: members[0].mean.map((_, i) => {
      const known = members.map((row) => row.mean[i]).filter((v) => v !== null);
      return known.length ? Math.round(known.reduce((a, b) => a + b, 0) / known.length) : null;
    }) }));
  }
  const order = (a, b) => heat.sort >= 0 ? (b.mean[heat.sort] ?? -1) - (a.mean[heat.sort] ?? -1) : 0;
  return shown.sort((a, b) => groupBy && heat.sort < 0 ? (groupValues.get(a.group) - groupValues.get(b.group)) : order(a, b));
}
function drawHeat() {
  const holder = $("overview-chart"), model = DATA.models[heat.model];
  if (!holder) return;
  holder.replaceChildren();
  if (!model) { holder.append(el("p", { class: "note" }, "No source has a measurement yet.")); return; }
  const rows = heatRows(), pages = Math.max(1, Math.ceil(rows.length / HEAT_PAGE));
  heat.page = Math.min(heat.page, pages - 1);
  const shown = rows.slice(heat.page * HEAT_PAGE, (heat.page + 1) * HEAT_PAGE);
  const width = holder.clientWidth, labels = Math.min(230, width * 0.34), top = 118;
  const columns = model.names.map((_, i) => i).filter((i) => averages[heat.model][i] !== null).sort((a, b) => averages[heat.model][b] - averages[heat.model][a]);
  const count = Math.min(columns.length, Math.max(6, Math.floor((width - labels - 46) / (width < 500 ? 20 : 30))), 24), cell = Math.min(46, (width - labels - 46) / count), row = 24;
  const drawn = columns.slice(0, count);
  const most = rows.reduce((high, r) => drawn.reduce((h, i) => Math.max(h, r.mean[i] ?? 0), high), 1);
  const height = top + shown.length * row + 44;
  const svg = canvas(width, height, `Heat map of ${shown.length} rows by ${count} expressions`);
  drawn.forEach((i, x) => {
    const head = shape("text", { transform: `translate(${labels + x * cell + cell / 2 + 4},${top - 8}) rotate(-52)`, tabindex: 0, role: "button", "data-go": "", "font-weight": heat.sort === i ? 700 : 400, "aria-label": `Sort by ${model.names[i]}` }, cut(model.names[i], 21) + (heat.sort === i ? " ▾" : ""));
    act(head, () => { heat.sort = heat.sort === i ? -1 : i; heat.page = 0; drawHeat(); });
    svg.append(head);
  });
  shown.forEach((entry, y) => {
    const above = top + y * row, source = entry.source;
    const line = shape("g", { tabindex: 0, role: "button", "data-go": "", "aria-label": `${entry.name}: ${drawn.slice(0, 3).map((i) => `${model.names[i]} ${score(entry.mean[i])}`).join(", ")}` });
    line.append(shape("rect", { x: 0, y: above, width, height: row - 1, fill: "transparent" }));
    if (groupBy) line.append(shape("rect", { x: 0, y: above + 5, width: 8, height: 13, rx: 2, fill: groupColour(source || entry.sample) }));
    line.append(shape("text", { x: groupBy ? 14 : 0, y: above + 16 }, cut(entry.name, Math.floor((labels - (groupBy ? 20 : 6)) / 6.7))));
    drawn.forEach((i, x) => {
      const value = entry.mean[i];
      const square = shape("rect", { x: labels + x * cell, y: above, width: cell - 1.5, height: row - 1.5, rx: 2.5, fill: value === null ? ink("--empty") : colourAt(value / most) });
      tell(square, () => `${entry.name}\n${model.names[i]}: ${score(value)}\n${heat.per === "group" && groupBy ? plural(entry.n, "source") : plural(entry.n, "row")}${source && groupBy ? `\n${groupBy}: ${entry.group}` : ""}`);
      line.append(square);
    });
    act(line, () => source ? choose(source, true) : filterGroup(entry.group));
    svg.append(line);
  });
  legend(svg, labels, height - 26, most, Math.min(200, width - labels - 60));
  holder.append(svg);
  heat.pager.replaceChildren(...pagerParts(heat.page, pages, (page) => { heat.page = page; drawHeat(); }));
}
function legend(svg, x, y, most, width) {
  for (let i = 0; i < 40; i++) svg.append(shape("rect", { x: x + i * width / 40, y, width: width / 40 + 0.5, height: 9, fill: colourAt(i / 39) }));
  svg.append(shape("text", { x, y: y + 22, "font-size": 11, fill: ink("--soft") }, "0"));
  svg.append(shape("text", { x: x + width, y: y + 22, "font-size": 11, fill: ink("--soft"), "text-anchor": "end" }, score(most)));
}
function act(node, action) {
  node.addEventListener("click", action);
  node.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); action(); } });
}
function pagerParts(page, pages, go) {
  if (pages < 2) return [];
  return [el("button", { type: "button", disabled: page === 0, onclick: () => go(page - 1) }, "Previous"), el("span", {}, `page ${page + 1} of ${pages.toLocaleString("en")}`), el("button", { type: "button", disabled: page >= pages - 1, onclick: () => go(page + 1) }, "Next")];
}
function setUpHeat() {
  const controls = $("overview-controls");
  heat.pager = el("span", { class: "pager" });
  heat.keys = el("div", { class: "chips" });
  if (!controls) return;
  if (MODELS.length > 1) controls.append(choice("Model", MODELS.map((m) => [m, m]), heat.model, (value) => { heat.model = value; heat.sort = -1; drawHeat(); }));
  if (DATA.labels.length) {
    controls.append(choice("Colour and group by", [["", "nothing"], ...DATA.labels.map((l) => [l, l])], "", (value) => { groupBy = value; heat.page = 0; regroup(); drawHeat(); drawList(); drawKeys(); }));
    controls.append(choice("Rows", [["source", "a source each"], ["group", "a group's mean"]], "source", (value) => { heat.per = value; heat.page = 0; drawHeat(); }));
  }
  controls.append(saveButton(() => $("overview-chart").querySelector("svg"), "sources by expression"), heat.pager);
  controls.after(heat.keys);
}
function drawKeys() {
  heat.keys.replaceChildren(...[...groupValues.entries()].slice(0, 24).map(([name, i]) => {
    const dot = el("span", { class: "dot" }); dot.style.background = lineColour(i);
    return el("span", { class: "tag" }, dot, `${groupBy}: ${name}`);
  }));
}
function filterGroup(group) { $("search").value = `${groupBy}: ${group}`; list.page = 0; drawList(); $("sources").scrollIntoView(); $("search").focus(); }

/* The list of sources: search, outcome, pages. */
const list = { page: 0, chosen: null };
const haystack = DATA.sources.map((source) => [source.i, source.s || "", source.e || "", source.k, ...Object.entries(source.l || {}).map(([k, v]) => `${k}: ${v}`)].join("\n").toLowerCase());
function matches() {
  const words = $("search").value.trim().toLowerCase(), outcome = $("outcome").value, found = [];
  const terms = words.includes(": ") ? [words] : words.split(/\s+/);
  DATA.sources.forEach((source, i) => { if ((!outcome || source.t === outcome) && terms.every((term) => haystack[i].includes(term))) found.push(source); });
  return found;
}
function strongest(source, most) {
  const found = [];
  for (const model of MODELS) if (source.m && source.m[model]) source.m[model].mean.forEach((v, i) => { if (v !== null) found.push([weight(source.m[model], i), DATA.models[model].names[i], model]); });
  const names = new Set();
  return found.sort((a, b) => b[0] - a[0]).filter((b) => !names.has(b[1]) && names.add(b[1])).slice(0, most);
}
function drawList() {
  const found = matches(), pages = Math.max(1, Math.ceil(found.length / PAGE));
  list.page = Math.min(list.page, pages - 1);
  $("found").textContent = found.length === DATA.sources.length ? plural(found.length, "source") : `${found.length.toLocaleString("en")} of ${plural(DATA.sources.length, "source")}`;
  $("list").replaceChildren(...found.slice(list.page * PAGE, (list.page + 1) * PAGE).map((source) => {
    const dot = el("span", { class: groupBy ? "dot" : `dot ${source.t}`, "aria-hidden": "true" });
    if (groupBy) dot.style.background = groupColour(source);
    const best = strongest(source, 2).map((b) => b[1]).join(", ");
    return el("li", {}, el("button", { type: "button", "aria-current": source === list.chosen ? "true" : "false", title: place(source), onclick: () => choose(source, false) }, dot,
      el("span", { class: "words" }, el("span", { class: "name" }, name(source)), el("span", { class: "more" }, source.t === "done" ? best || gist(source) || "nothing found" : source.t.replace("_", " ") + (source.e ? `: ${source.e}` : "")))));
  }));
  $("pager").replaceChildren(...pagerParts(list.page, pages, (page) => { list.page = page; drawList(); }));
}

/* One source: strongest expressions, timeline, texts. */
const picked = {};
function choose(source, go) {
  list.chosen = source;
  drawList();
  drawDetail();
  if (go || innerWidth < 760) { $("detail").scrollIntoView({ block: "start" }); $("detail").focus({ preventScroll: true }); }
}
function drawDetail() {
  const source = list.chosen, holder = $("detail");
  holder.replaceChildren();
  if (!source) return;
  holder.append(el("div", { class: "head" }, el("h3", {}, name(source)), el("span", { class: "note" }, source.i === name(source) ? "" : `id ${source.i}`)));
  if (name(source) !== place(source)) holder.append(el("p", { class: "note" }, place(source)));
  const dot = el("span", { class: `dot ${source.t}` });
  holder.append(el("p", {}, el("span", { class: "tag" }, dot, source.t.replace("_", " ")), el("span", { class: "tag" }, source.k), ...Object.entries(source.l || {}).map(([k, v]) => el("span", { class: "tag" }, `${k}: ${v}`))));
  if (source.e) holder.append(el("p", { class: "error" }, source.e));
  const parts = source.m || {};
  if (!Object.keys(parts).length && !source.g && source.t === "done") holder.append(el("p", { class: "note" }, "The service found nothing to measure in this source."));
  frames = [];
  drawSignals(holder, source);
  for (const model of MODELS) if (parts[model]) drawModel(holder, source, model, parts[model]);
}
function drawModel(holder, source, model, part) {
  const names = DATA.models[model].names;
  const best = part.mean.map((v, i) => [v, i]).filter((pair) => pair[0] !== null).sort((a, b) => weight(part, b[1]) - weight(part, a[1]));
  holder.append(el("h3", {}, model), el("p", { class: "note" }, `${plural(part.n, "row")}: ${DATA.models[model].row}.` + (part.stride > 1 ? ` Every ${part.stride}th is drawn.` : "") + (part.groups.length > 1 ? ` Told apart: ${part.groups.slice(0, 12).join(", ")}.` : "")));
  if (!best.length) return;
  holder.append(el("figure", {}, drawBars(holder, best.slice(0, 8), names, part), part.n > 1 ? el("figcaption", {}, part.open ? "Bar and number: mean over the rows that have the score, and how many those are. A score that is not there was below the service's cutoff, which is not zero. Dot: highest." : "Bar and number: mean over all rows. Dot: highest.") : null));
  const timed = part.rows.filter((row) => row[0] !== null);
  if (timed.length > 1) drawTimeline(holder, source, model, part, best, timed);
  const texts = part.rows.filter((row) => row[3] !== null);
  if (texts.length) drawTexts(holder, model, part, texts);
}
const often = (part, i) => part.open ? `, ${part.count[i]} of ${part.n}` : "";
function drawBars(holder, best, names, part) {
  const width = Math.min(holder.clientWidth, 620), label = Math.min(170, width * 0.4), room = part.open ? 118 : 56, most = Math.max(...best.map((b) => Math.max(b[0], part.peak[b[1]] ?? 0)), 1), row = 23;
  const svg = canvas(width, best.length * row + 6, "Strongest expressions by mean score"), scale = (width - label - room) / most;
  best.forEach(([value, i], y) => {
    const line = shape("g", { tabindex: 0, role: "img", "aria-label": `${names[i]}: mean ${score(value)}, highest ${score(part.peak[i])}${often(part, i)}` });
    line.append(shape("rect", { x: 0, y: y * row, width, height: row, fill: "transparent" }), shape("text", { x: label - 8, y: y * row + 16, "text-anchor": "end" }, cut(names[i], Math.floor(label / 7))));
    line.append(shape("rect", { x: label, y: y * row + 4, width: Math.max(1, value * scale), height: row - 8, rx: 3, fill: lineColour(0) }));
    const peak = label + (part.peak[i] ?? value) * scale;
    if (part.n > 1) line.append(shape("line", { x1: label + value * scale, x2: peak, y1: y * row + row / 2, y2: y * row + row / 2, stroke: ink("--soft"), "stroke-width": 1 }), shape("circle", { cx: peak, cy: y * row + row / 2, r: 3, fill: ink("--soft") }));
    line.append(shape("text", { x: peak + 8, y: y * row + 16, "font-size": 11, fill: ink("--soft") }, score(value) + (part.n > 1 ? often(part, i) : "")));
    tell(line, `${names[i]}\nmean ${score(value)}` + (part.n > 1 ? `\nhighest ${score(part.peak[i])}${often(part, i)}` : ""));
    svg.append(line);
  });
  return svg;
}
function drawTimeline(holder, source, model, part, best, timed) {
  const names = DATA.models[model].names, at = new Map((part.shown || names.map((_, i) => i)).map((i, position) => [i, position]));
  const offered = best.map((b) => b[1]).filter((i) => at.has(i));
  picked[model] = (picked[model] || []).filter((i) => at.has(i));
  if (!picked[model].length) picked[model] = offered.slice(0, 3);
  const board = el("figure"), readout = el("p", { class: "readout", role: "status" }), chips = el("div", { class: "chips", role: "group", "aria-label": "Expressions drawn" });
  const paint = () => { drawChips(); board.replaceChildren(timelineSvg(holder.clientWidth, names, part, timed, picked[model], at, readout)); };
  const drawChips = () => {
    const some = [...new Set([...picked[model], ...offered.slice(0, 8)])];
    chips.replaceChildren(...some.map((i) => {
      const on = picked[model].indexOf(i), swatch = el("span", { class: "swatch", "aria-hidden": "true" });
      if (on >= 0) swatch.style.background = lineColour(on); else swatch.style.display = "none";
      return el("button", { type: "button", "aria-pressed": on >= 0 ? "true" : "false", onclick: () => { picked[model] = on >= 0 ? picked[model].filter((j) => j !== i) : [...picked[model], i].slice(-8); paint(); } }, swatch, names[i]);
    }));
    const rest = offered.filter((i) => !some.includes(i)).sort((a, b) => names[a].localeCompare(names[b]));
    if (rest.length) chips.append(choice("", [["", "add another…"], ...rest.map((i) => [String(i), names[i]])], "", (value) => { if (value) { picked[model] = [...picked[model], +value].slice(-8); paint(); } }));
    if (chips.querySelector("select")) chips.querySelector("select").setAttribute("aria-label", "Add an expression");
    chips.append(saveButton(() => board.querySelector("svg"), `${name(source)} ${model}`));
  };
  paint();
  holder.append(chips, board, readout);
}
function timelineSvg(width, names, part, timed, chosen, at, readout) {
  const many = part.groups.length > 1, height = 250 + (many ? 22 : 0), left = 38, right = 12, top = many ? 32 : 10, bottom = height - 26;
  const svg = canvas(width, height, "Timeline of the chosen expressions; arrow keys move along it");
  svg.setAttribute("tabindex", 0);
  const first = Math.min(...timed.map((r) => r[0])), last = Math.max(...timed.map((r) => r[1] ?? r[0]), first + 0.001);
  const most = Math.ceil(Math.max(80, ...timed.flatMap((r) => chosen.map((i) => r[4][at.get(i)] ?? 0))) / 80) * 80;
  const x = (t) => left + (t - first) / (last - first) * (width - left - right), y = (v) => bottom - v / most * (bottom - top);
  for (let i = 0; i <= 4; i++) {
    const value = most * i / 4;
    svg.append(shape("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), stroke: ink("--grid") }), shape("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end", "font-size": 11, fill: ink("--soft") }, (value / 1000).toFixed(2)));
  }
  for (const moment of ticksOf(first, last, Math.max(3, Math.floor(width / 110)))) svg.append(shape("text", { x: x(moment), y: height - 8, "font-size": 11, fill: ink("--soft"), "text-anchor": x(moment) > width - 30 ? "end" : "middle" }, clock(moment)));
  const middle = (r) => r[1] === null || r[1] === r[0] ? r[0] : (r[0] + r[1]) / 2;
  part.groups.forEach((group, g) => {
    const mine = timed.filter((r) => r[2] === g).sort((a, b) => a[0] - b[0]);
    if (many && g < 6) {
      const gx = left + g * Math.min(120, (width - left) / Math.min(6, part.groups.length));
      svg.append(shape("line", { x1: gx, x2: gx + 26, y1: 12, y2: 12, stroke: ink("--ink"), "stroke-width": 2, "stroke-dasharray": DASHES[g % DASHES.length] }), marker(gx + 13, 12, g, ink("--ink")), shape("text", { x: gx + 32, y: 16, "font-size": 11 }, cut(group, 12)));
    }
    chosen.forEach((i, c) => {
      // A line ends where the score does: between is what nobody knows.
      const runs = [[]];
      for (const r of mine) if (r[4][at.get(i)] === null) { if (runs.at(-1).length) runs.push([]); } else runs.at(-1).push([x(middle(r)), y(r[4][at.get(i)])]);
      const count = runs.reduce((sum, points) => sum + points.length, 0);
      for (const points of runs) {
        if (points.length > 1) svg.append(shape("polyline", { points: points.map((p) => p.map((v) => v.toFixed(1)).join(",")).join(" "), fill: "none", stroke: lineColour(c), "stroke-width": 2, "stroke-linejoin": "round", "stroke-dasharray": DASHES[g % DASHES.length] }));
        if (count < 60 || points.length === 1) for (const p of points) svg.append(marker(p[0], p[1], g, lineColour(c)));
      }
    });
  });
  const rule = shape("line", { y1: top, y2: bottom, stroke: ink("--soft"), "stroke-dasharray": "3 3", visibility: "hidden" });
  svg.append(rule);
  const ordered = [...timed].sort((a, b) => middle(a) - middle(b));
  let now = -1;
  const words = (r) => [`${clock(r[0])}${r[1] !== null && r[1] !== r[0] ? ` to ${clock(r[1])}` : ""}${many ? `, ${part.groups[r[2]]}` : ""}`, ...chosen.map((i) => `${names[i]} ${score(r[4][at.get(i)])}`), ...(r[3] ? [`“${cut(r[3], 90)}”`] : [])];
  const point = (index) => { now = index; const r = ordered[index]; rule.setAttribute("x1", x(middle(r))); rule.setAttribute("x2", x(middle(r))); rule.setAttribute("visibility", "visible"); return words(r); };
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
  return svg;
}
/* Round numbers between two ends, about `count` of them. */
function ticksOf(first, last, count, clocks = true) {
  const rough = (last - first) / count, power = 10 ** Math.floor(Math.log10(rough));
  const sizes = clocks && last - first > 300 ? [15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400] : [power, 2 * power, 5 * power, 10 * power];
  const step = sizes.find((size) => size >= rough) || rough, found = [];
  for (let t = Math.ceil(first / step) * step; t <= last + step * 1e-6 && found.length < 60; t += step) found.push(+t.toFixed(6));
  return found;
}
function marker(x, y, group, fill) {
  const kind = group % 3;
  if (kind === 1) return shape("rect", { x: x - 3, y: y - 3, width: 6, height: 6, fill });
  if (kind === 2) return shape("path", { d: `M${x - 4},${y + 3}L${x + 4},${y + 3}L${x},${y - 4}Z`, fill });
  return shape("circle", { cx: x, cy: y, r: 3, fill });
}
function drawTexts(holder, model, part, texts) {
  const names = DATA.models[model].names, shown = part.shown || names.map((_, i) => i), toxic = DATA.models[model].toxicity;
  const anySentiment = texts.some((r) => r[5] !== null), anyToxicity = texts.some((r) => r[6] !== null), anyTime = texts.some((r) => r[0] !== null);
  let open = 12;
  const body = el("tbody"), more = el("p");
  const fill = () => {
    body.replaceChildren(...texts.slice(0, open).map((r) => {
      const best = r[4].map((v, i) => [v, shown[i]]).filter((p) => p[0] !== null).sort((a, b) => b[0] - a[0]).slice(0, 3);
      return el("tr", {}, anyTime ? el("td", {}, r[0] === null ? "" : clock(r[0])) : null, el("td", {}, r[3]), el("td", {}, best.map((p) => `${names[p[1]]} ${score(p[0])}`).join(", ")),
        anySentiment ? el("td", { class: "number" }, r[5] === null ? "" : (r[5] / 1000).toFixed(2)) : null, anyToxicity ? el("td", {}, r[6] === null ? "" : `${toxic[r[6][0]].replaceAll("_", " ")} ${score(r[6][1])}`) : null);
    }));
    more.replaceChildren(...(open < texts.length ? [el("button", { type: "button", onclick: () => { open += 50; fill(); } }, `Show more of ${texts.length}`)] : []));
  };
  const heads = [anyTime ? "At" : null, "Words", "Strongest", anySentiment ? "Sentiment, 1 to 9" : null, anyToxicity ? "Toxicity, strongest" : null].filter(Boolean);
  fill();
  holder.append(el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Words and their scores" }, el("table", { class: anyTime ? "texts" : "" }, el("thead", {}, el("tr", {}, ...heads.map((h) => el("th", { scope: "col" }, h)))), body)), more);
}

/* timeline.js */

/* Jobs: queued, running, fetched. */
const jobs = { page: 0 };
function drawJobs() {
  const holder = $("jobs-chart");
  if (!holder) return;
  holder.replaceChildren();
  const known = DATA.jobs.filter((job) => job.at.some((t) => t !== null));
  if (!known.length) { holder.append(el("p", { class: "note" }, `${plural(DATA.jobs.length, "job")}; when they ran is not in these files.`)); return; }
  const each = 40, pages = Math.ceil(known.length / each), shown = known.slice(jobs.page * each, (jobs.page + 1) * each);
  const all = known.flatMap((job) => job.at.filter((t) => t !== null)), first = Math.min(...all), last = Math.max(...all, first + 0.001);
  const width = holder.clientWidth, left = Math.min(110, width * 0.27), row = 18, height = shown.length * row + 60;
  const x = (t) => left + (t - first) / (last - first) * (width - left - 14), svg = canvas(width, height, "Jobs over time");
  const colours = [ink("--pending"), lineColour(0), lineColour(4)], words = ["queued", "running", "waiting to be fetched"];
  words.forEach((word, i) => { const lx = i * Math.min(150, width / 3.2); svg.append(shape("rect", { x: lx, y: 4, width: 12, height: 10, rx: 2, fill: colours[i] }), shape("text", { x: lx + 17, y: 14, "font-size": 11 }, cut(word, width < 500 ? 8 : 30))); });
  shown.forEach((job, n) => {
    const above = 26 + n * row, [submitted, created, started, ended, fetched] = job.at, begin = created ?? submitted;
    const line = shape("g", { tabindex: 0, role: "img", "aria-label": `${job.j} ${job.t}` });
    line.append(shape("rect", { x: 0, y: above, width, height: row, fill: "transparent" }), shape("text", { x: 0, y: above + 12, "font-size": 11, fill: job.t === "failed" ? ink("--failed") : ink("--ink") }, cut(job.j + (job.t === "failed" ? " ✕" : ""), Math.floor(left / 6.6))));
    [[begin, started ?? ended], [started, ended], [ended, fetched]].forEach(([from, to], i) => { if (from !== null && to !== null && from !== undefined && to !== undefined && to >= from) line.append(shape("rect", { x: x(from), y: above + 3, width: Math.max(1.5, x(to) - x(from)), height: row - 7, rx: 2, fill: colours[i] })); });
    if (fetched !== null) line.append(shape("circle", { cx: x(fetched), cy: above + row / 2 - 0.5, r: 3, fill: ink("--ink") }));
    const span = (a, b) => a === null || b === null ? "not known" : clock(Math.max(0, b - a));
    tell(line, `${job.j} (${job.t}), ${plural(job.n, "source")}\n${job.r}\nqueued ${span(begin, started)}, running ${span(started, ended)}\nfetched after ${span(begin, fetched)}`);
    svg.append(line);
  });
  for (const after of ticksOf(0, last - first, Math.max(3, Math.floor(width / 160)))) svg.append(shape("text", { x: x(first + after), y: height - 8, "font-size": 11, fill: ink("--soft"), "text-anchor": x(first + after) > width - 40 ? "end" : "start" }, "+" + clock(after)));
  holder.append(svg);
  $("jobs-controls").replaceChildren(saveButton(() => holder.querySelector("svg"), "jobs"), ...pagerParts(jobs.page, pages, (page) => { jobs.page = page; drawJobs(); }));
}

for (const part of document.querySelectorAll("[data-grow]")) part.style.flexGrow = part.dataset.grow;
setUpHeat();
$("search").addEventListener("input", () => { list.page = 0; drawList(); });
$("outcome").addEventListener("change", () => { list.page = 0; drawList(); });
const drawAll = () => { drawHeat(); drawDetail(); drawJobs(); };
list.chosen = DATA.sources.find((source) => (source.m && Object.keys(source.m).length) || source.g) || DATA.sources[0] || null;
drawList();
drawAll();
let width = innerWidth;
addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; drawAll(); } });
dark.addEventListener("change", () => { drawAll(); drawList(); drawKeys(); });
// What is folded is printed all the same where it tells what numbers are worth.
const folded = () => document.querySelectorAll("#who details:not([open])");
let unfolded = [];
addEventListener("beforeprint", () => { paper = true; unfolded = [...folded()]; for (const one of unfolded) one.open = true; drawAll(); });
addEventListener("afterprint", () => { paper = false; for (const one of unfolded) one.open = false; drawAll(); });
document.documentElement.dataset.ready = "yes";
})();
