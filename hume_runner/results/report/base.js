/* Draws the report from the JSON in the page. Nothing is loaded, nothing is sent, and every word from outside goes
   through textContent or setAttribute, never through markup. */
const DATA = JSON.parse(document.getElementById("data").textContent);
const MODELS = Object.keys(DATA.models);
const SVG = "http://www.w3.org/2000/svg";
const FONT = "system-ui, Segoe UI, Roboto, Helvetica, Arial, sans-serif";
// Okabe and Ito's colours, told apart by colour-blind people; yellow and black are left out, which vanish on one ground.
const LINES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a6fbf", "#7a7a7a"];
const LINES_DARK = ["#5aa9e6", "#f0803c", "#2fc79b", "#e29cc6", "#f0b73f", "#8fd0f5", "#b49fe0", "#b0b0b0"];
const DASHES = ["", "7 4", "2 4", "10 3 2 3", "14 4", "4 2"];
const CIVIDIS = [[0, 34, 78], [18, 53, 112], [59, 73, 108], [87, 93, 109], [112, 113, 115], [138, 134, 120], [165, 156, 116], [195, 179, 105], [225, 204, 85], [254, 232, 56]];
const narrow = matchMedia("(max-width: 760px)");
const PAGE = narrow.matches ? 8 : 25, HEAT_PAGE = 30;
const dark = matchMedia("(prefers-color-scheme: dark)");
const $ = (id) => document.getElementById(id);
// Paper is white whatever the screen is, and drawings carry their colours with them.
const PAPER = { "--ink": "#000", "--soft": "#444", "--line": "#ccc", "--grid": "#ddd", "--empty": "#eee", "--card": "#fff", "--pending": "#b9b9b2", "--failed": "#d55e00" };
let paper = false;
let inks = {};
const ink = (name) => paper ? PAPER[name] : inks[name] ??= getComputedStyle(document.documentElement).getPropertyValue(name).trim();
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
  return shape("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": label, "font-family": FONT, "font-size": 12, fill: ink("--ink") });
}
/* Across a chart of simulated scores, over what is drawn: a screenshot may hold the chart and nothing else of the page. */
function marked(svg) {
  if (!DATA.simulated) return svg;
  const width = +svg.getAttribute("width"), height = +svg.getAttribute("height");
  svg.append(shape("text", { x: width / 2, y: height / 2, "text-anchor": "middle", "font-size": Math.round(Math.max(16, Math.min(54, width / 9, height / 2))), "font-weight": 700, fill: ink("--ink"), opacity: 0.13, "pointer-events": "none", "aria-hidden": "true" }, "SIMULATED"));
  return svg;
}
const written = (x, y, text, more = {}) => shape("text", { x, y, "font-size": 11, fill: ink("--soft"), ...more }, text);
const score = (thousandths) => thousandths === null || thousandths === undefined ? "none" : (thousandths / 1000).toFixed(3);
const number = (v) => v === null ? "none" : Math.abs(v) >= 100 ? v.toFixed(0) : Math.abs(v) >= 10 ? v.toFixed(1) : v.toFixed(3);
const cut = (text, most) => text.length > most ? text.slice(0, Math.max(1, most - 1)) + "…" : text;
const capital = (words) => words[0].toUpperCase() + words.slice(1);
const plural = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
const clock = (s) => s >= 60 ? `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}` : `${+s.toFixed(2)} s`;
const natural = new Intl.Collator("en", { numeric: true }).compare;

/* Sources are shown by their ids, or by what people call them: a file by its name, a text by its start. */
let naming = "id";
const place = (source) => source.s || source.i;
const tail = (text) => text.replace(/\?…$/, "").split("/").filter(Boolean).pop() || text;
const name = (source) => naming === "id" ? source.i : source.k === "text" ? source.x || source.i : tail(place(source));
// A path is known by its end.
const cutName = (text, most) => text.length > most && text.includes("/") ? "…" + text.slice(1 - most) : cut(text, most);
/* What else a person knows it by, beside the name that is shown. */
const alias = (source) => naming === "id" ? source.k === "text" ? source.x || "" : [tail(place(source))].filter((end) => !source.i.endsWith(end))[0] || "" : source.i === name(source) ? "" : source.i;
let inOrder = [];
function reorder() { inOrder = [...DATA.sources].sort((a, b) => natural(name(a), name(b))); }

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
  const said = () => typeof text === "function" ? text() : text;
  node.addEventListener("pointermove", (event) => showTip(said(), event.clientX, event.clientY));
  node.addEventListener("pointerleave", hideTip);
  // In a drawing, whatever listens for the focus is a stop of the Tab key; squares of a row are none.
  if (!node.hasAttribute("tabindex")) return;
  node.addEventListener("focus", () => { const box = node.getBoundingClientRect(); showTip(said(), box.left, box.bottom - 14); });
  node.addEventListener("blur", hideTip);
}
addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });
addEventListener("scroll", hideTip, { passive: true });

function choice(label, options, value, change) {
  const select = el("select", { "aria-label": label || null, onchange: () => change(select.value) }, ...options.map(([key, words]) => el("option", { value: key, selected: key === value }, words)));
  return el("label", {}, label, select);
}
function act(node, action) {
  node.addEventListener("click", action);
  node.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); action(); } });
}
function pagerParts(page, pages, go, what = "page") {
  if (pages < 2) return [];
  return [el("button", { type: "button", disabled: page === 0, onclick: () => go(page - 1), "aria-label": `Previous ${what}` }, "Previous"), el("span", {}, `${what} ${page + 1} of ${pages.toLocaleString("en")}`), el("button", { type: "button", disabled: page >= pages - 1, onclick: () => go(page + 1), "aria-label": `Next ${what}` }, "Next")];
}
/* A table that may be wider than the screen; where it is, that is said. */
function scrolling(label, ...children) {
  const box = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, ...children);
  return box;
}
function hintScrolling() {
  for (const box of document.querySelectorAll(".scroll")) {
    const wider = box.scrollWidth > box.clientWidth + 2, hint = box.previousElementSibling;
    const told = hint && hint.classList.contains("hint");
    if (wider && !told) box.before(el("p", { class: "hint" }, "Wider than the screen: more to the right →"));
    else if (!wider && told) hint.remove();
  }
}

/* Round numbers between two ends, about `count` of them. */
const CLOCKS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400];
function stepOf(span, count, clocks) {
  const rough = span / count, power = 10 ** Math.floor(Math.log10(rough));
  const sizes = clocks && span > 60 ? CLOCKS : [power, 2 * power, 5 * power, 10 * power];
  return sizes.find((size) => size >= rough * 0.999) || rough;
}
function ticksOf(first, last, count, clocks = true) {
  const step = stepOf(last - first, count, clocks), found = [];
  for (let i = Math.ceil(first / step - 1e-9); i * step <= last + step * 1e-6 && found.length < 60; i++) found.push(+(i * step).toFixed(6));
  return found;
}
/* An axis from `low` to a round number that is no less than `high`, with its ticks. */
function axisOf(low, high, count) {
  const span = high - low;
  if (!(span > 0) || !Number.isFinite(span)) return { low, high: low + 1, ticks: [low, low + 1] };
  const step = stepOf(span, count, false), begin = Math.floor(low / step + 1e-9) * step, end = Math.ceil(high / step - 1e-9) * step;
  return { low: begin, high: end, ticks: ticksOf(begin, end, Math.round((end - begin) / step)) };
}
const tickWords = (v) => Math.abs(v) >= 1000 ? v.toLocaleString("en") : String(+v.toPrecision(6));
/* Where on an axis of time, all in one way of writing. */
const timeWords = (t, span) => span > 60 ? `${Math.floor(t / 60)}:${String(Math.round(t % 60)).padStart(2, "0")}` : String(+t.toFixed(3));
const timeTitle = (span) => span > 60 ? "time from the start, min:s" : "time from the start, s";

function marker(x, y, group, fill) {
  const draw = [
    () => shape("circle", { cx: x, cy: y, r: 3.4, fill }),
    () => shape("rect", { x: x - 3.2, y: y - 3.2, width: 6.4, height: 6.4, fill }),
    () => shape("path", { d: `M${x - 4},${y + 3}L${x + 4},${y + 3}L${x},${y - 4.4}Z`, fill }),
    () => shape("path", { d: `M${x - 4.4},${y}L${x},${y - 4.4}L${x + 4.4},${y}L${x},${y + 4.4}Z`, fill }),
    () => shape("path", { d: `M${x - 4},${y - 3}L${x + 4},${y - 3}L${x},${y + 4.4}Z`, fill }),
    () => shape("circle", { cx: x, cy: y, r: 2.8, fill: ink("--card"), stroke: fill, "stroke-width": 1.8 }),
  ];
  return draw[group % draw.length]();
}
/* A legend in as many lines as it takes: [draw(x, y), words] each. Returns the height that it takes. */
function legendAt(svg, left, right, top, entries) {
  let x = left, y = top;
  for (const [draw, words] of entries) {
    const wide = 24 + words.length * 6.4;
    if (x > left && x + wide > right) { x = left; y += 18; }
    for (const part of [draw(x + 8, y)].flat()) svg.append(part);
    svg.append(shape("text", { x: x + 20, y: y + 4, "font-size": 11 }, cut(words, Math.max(4, Math.floor((right - x - 20) / 6.2)))));
    x += wide + 10;
  }
  return entries.length ? y - top + 18 : 0;
}
function colourAt(share) {
  const at = Math.max(0, Math.min(1, share)) * (CIVIDIS.length - 1), low = Math.floor(at), rest = at - low;
  const high = Math.min(low + 1, CIVIDIS.length - 1);
  return `rgb(${CIVIDIS[low].map((c, i) => Math.round(c + (CIVIDIS[high][i] - c) * rest)).join(",")})`;
}
/* Colours over round numbers, in thousandths, from the cutoff where there is one. */
function colourScale(lowest, highest) {
  const low = lowest || 0, axis = axisOf(low / 1000, Math.max(highest, low + 1) / 1000, 5);
  return { low, high: axis.high * 1000, ticks: axis.ticks.filter((v) => v * 1000 >= low), at: (v) => colourAt((v - low) / (axis.high * 1000 - low)) };
}
function colourLegend(svg, x, y, width, scale, title) {
  for (let i = 0; i < 40; i++) svg.append(shape("rect", { x: x + i * width / 40, y, width: width / 40 + 0.5, height: 9, fill: colourAt(i / 39) }));
  const at = (v) => x + (v - scale.low) / (scale.high - scale.low) * width;
  const ticks = scale.ticks.map((v) => v * 1000).filter((v) => !scale.low || at(v) - x > 34);
  if (scale.low) ticks.unshift(scale.low);
  for (const v of ticks) svg.append(shape("line", { x1: at(v), x2: at(v), y1: y + 9, y2: y + 12, stroke: ink("--soft") }), written(at(v), y + 23, tickWords(v / 1000), { "text-anchor": at(v) > x + width - 8 ? "end" : at(v) < x + 8 ? "start" : "middle" }));
  svg.append(written(x, y - 5, title + (scale.low ? ", from the lowest above the cutoff" : "")));
}

/* A table's families of scores, the first being what it is about. What they are called, and what the scores of a row
   tell together, its API says: `levels` of one scale, or the `kinds` of one thing. */
const familyWords = (table, family) => DATA.families[table][family].words;
const SETS = MODELS.flatMap((model) => {
  const of = DATA.models[model], set = (family, names, first) => ({ model, family, names, first, levels: DATA.families[model][family].tells === "mean level", kinds: DATA.families[model][family].tells === "strongest kind" });
  return [set(of.family, of.names, true), ...Object.entries(of.more).map(([family, names]) => set(family, names, false))];
});
/* Open names: a row has a score only where it was above a cutoff, so a mean is over the rows that have it, and what is
   there often and strongly goes before what was there once. */
function dense(told, width) {
  const found = { mean: new Array(width).fill(null), peak: {}, count: {} };
  for (const [i, mean, peak, count] of told) { found.mean[i] = mean; found.peak[i] = peak; found.count[i] = count; }
  return found;
}
for (const source of DATA.sources) for (const [model, part] of Object.entries(source.m || {})) {
  if (part.open) Object.assign(part, dense(part.open, DATA.models[model].names.length));
  else if (part.shown) part.peak = Object.fromEntries(part.shown.map((i, at) => [i, part.peak[at]]));
}
/* {mean, peak, count} of one family in a source's part, or null. */
function scoresOf(part, set) {
  if (!part || set.first) return part || null;
  const told = part.more && part.more[set.family];
  if (!told) return null;
  part.dense ??= {};
  return part.dense[set.family] ??= DATA.models[set.model].open ? dense(told, set.names.length) : { mean: told[0], peak: told[1] || {}, count: null };
}
const weight = (scores, i, rows) => scores.count ? scores.mean[i] * scores.count[i] / rows : scores.mean[i];
