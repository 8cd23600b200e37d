/* One source over time: what was said under its scores, names in it, curves, and what has a place in the picture as boxes.
   A row is [begin, end, text, lane, values]; which value is what, the table's signals tell by their places in it. */
const SIGNALS = Object.keys(DATA.signals).sort((a, b) => DATA.signals[a].place - DATA.signals[b].place);
const MOST_LANES = 8, WINDOWS = [60, 10, 3];
const glance = { source: null, size: 0, from: 0, at: null };
const endOf = (row) => row[1] ?? row[0];
const during = (row, t) => row[0] !== null && row[0] <= t && t <= endOf(row);
/* What is told beside a row, and of what has a box what is drawn of it, too. */
const told = (signal, row) => [...signal.told, ...(signal.box ? signal.curves.map((curve) => [curve.name, curve.at[0]]) : [])].map(([word, at]) => [word, row[at]]).filter((pair) => pair[1] !== null && pair[1] !== undefined).map((pair) => typeof pair[1] === "string" ? pair[1] : `${pair[0]} ${pair[1]}`).join(", ");
const boxOf = (signal, row) => signal.box.map((at) => row[at]);
/* Whether nothing lies between two rows of one lane: counted where moments are, else told by how far apart they are. */
const adjacent = (one, before, row, usual) => one.signal.step === null ? row[0] - before[0] <= usual * 1.6 : row[one.signal.step] - before[one.signal.step] <= one.part.stride;
const lanesOf = (rows) => [...new Set(rows.map((row) => row[3]))].filter((lane) => lane !== null).map((lane) => [lane, rows.filter((row) => row[3] === lane)]).sort((a, b) => b[1].length - a[1].length);
const momentsOf = (rows) => [...new Set(rows.map((row) => row[0]))].sort((a, b) => a - b);
/* What a source without scores is known by in the list. */
function gist(source) {
  for (const name of SIGNALS) if (source.g && source.g[name] && source.g[name].rows.length) {
    const row = source.g[name].rows[0];
    return row[2] ? row[2] : `${name}: ${plural(source.g[name].n, "row")}`;
  }
  return "";
}
/* How far apart moments usually are: what is not seen for longer has gone. */
function usualGap(moments) {
  const apart = moments.slice(1).map((t, i) => t - moments[i]).sort((a, b) => a - b);
  return apart.length ? apart[Math.floor(apart.length / 2)] : 0.5;
}
function drawSignals(holder, source) {
  const names = SIGNALS.filter((name) => source.g && source.g[name] && source.g[name].rows.length);
  if (!names.length) return;
  if (glance.source !== source) Object.assign(glance, { source, size: 0, from: null, at: null });
  const shown = names.map((name) => ({ name, signal: DATA.signals[name], part: source.g[name], rows: source.g[name].rows.filter((row) => row[0] !== null).sort((a, b) => a[0] - b[0]) }));
  const scored = MODELS.filter((model) => source.m && source.m[model]).map((model) => ({ model, part: source.m[model], rows: source.m[model].rows.filter((row) => row[0] !== null && row[1] > row[0]).sort((a, b) => a[0] - b[0]) })).filter((one) => one.rows.length);
  const moments = [...shown, ...scored].flatMap((one) => one.rows);
  if (moments.length) drawSpan(holder, source, shown, scored, moments);
  for (const one of shown) {
    if (one.signal.box) drawFrames(holder, source, one);
    const loose = one.part.rows.filter((row) => row[0] === null && row[2] !== null);
    if (loose.length) holder.append(el("h3", {}, one.signal.title), el("p", { class: "loose" }, ...loose.slice(0, 60).map((row) => el("span", { class: "tag" }, el("strong", {}, row[2]), told(one.signal, row) ? " " + told(one.signal, row) : ""))));
  }
  const heard = shown.find((one) => one.rows.some((row) => row[2] !== null));
  if (heard && !scored.some((one) => one.rows.some((row) => row[3] !== null))) drawHeard(holder, heard);
}
function drawSpan(holder, source, shown, scored, moments) {
  const first = Math.min(0, ...moments.slice(0, 1).map((row) => row[0])), last = moments.reduce((high, row) => Math.max(high, endOf(row)), first + 0.001);
  const board = el("figure", { class: "over-time" }), readout = el("p", { class: "readout", role: "status" }), controls = el("div", { class: "controls" });
  const reach = () => { if (!glance.size) return [first, last]; const from = Math.max(first, Math.min(glance.from ?? first, last - glance.size)); glance.from = from; return [from, Math.min(last, from + glance.size)]; };
  const sizes = WINDOWS.filter((size) => last - first > size * 1.2);
  const go = (change) => { change(); paint(); };
  const paint = () => {
    const [from, to] = reach(), draw = (width) => spanSvg(width, { shown, scored, from, to, first, last, readout });
    const sizeButton = (size, words) => el("button", { type: "button", "aria-pressed": glance.size === size ? "true" : "false", onclick: () => go(() => { if (!glance.size && size) glance.from = glance.at === null ? first : glance.at - size / 2; glance.size = size; }) }, words);
    renew(controls, ...(sizes.length ? [el("span", {}, "Show"), sizeButton(0, "all"), ...sizes.map((size) => sizeButton(size, size === 60 ? "1 minute" : `${size} seconds`))] : []),
      ...(glance.size ? [el("button", { type: "button", disabled: from <= first, onclick: () => go(() => { glance.from -= glance.size * 0.9; }) }, "Earlier"), el("button", { type: "button", disabled: to >= last, onclick: () => go(() => { glance.from += glance.size * 0.9; }) }, "Later")] : []),
      saving(draw, () => ({ title: `${name(source)}: over time`, notes: [[...shown, ...scored].map((one) => `${one.name || one.model}: n = ${plural(one.part.n, "row")}`).join("; ") + "."] })));
    board.replaceChildren(draw(holder.clientWidth), ...(scored.length ? [el("figcaption", {}, "Under each utterance's strongest score, colours: the scores that are strongest over the whole source.")] : []));
  };
  const notes = shown.flatMap((one) => one.signal.whole && one.rows.length < one.part.n ? [`Of ${plural(one.part.n, "row")} of ${one.name} the first ${one.part.rows.length.toLocaleString("en")} are drawn.`] : one.part.stride > 1 ? [`Every ${one.part.stride}th moment of ${one.name} is drawn.`] : []);
  holder.append(el("h3", {}, "Over time"), el("p", { class: "note" }, [...shown.map((one) => `${one.name}: ${plural(one.part.n, "row")}`)].join(", ") + ". " + notes.join(" ")), controls);
  holder.append(board, readout);
  paint();
}
/* The values under a moment, in words. */
function factsAt(shown, scored, t) {
  const lines = [clock(t)];
  for (const one of shown) {
    if (one.signal.box) {
      const near = nearestMoment(one, t);
      if (near !== null) for (const row of one.rows.filter((r) => r[0] === near)) lines.push(`${one.signal.title}${row[3] === null ? "" : " " + row[3]}: ${told(one.signal, row)}`);
    } else for (const row of one.rows.filter((r) => during(r, t)).slice(0, 2)) {
      one.signal.curves.forEach((curve) => { const value = row[curve.at[0]]; lines.push(`${curve.name} ${value === null ? "none" : `${value} ${curve.unit}`}`); });
      if (row[2] !== null) lines.push(`“${cut(row[2], 120)}”${told(one.signal, row) ? ` ${told(one.signal, row)}` : ""}`);
    }
  }
  for (const one of scored) for (const row of one.rows.filter((r) => during(r, t)).slice(0, 1)) lines.push(bestOf(one, row, 3).map(([i, v]) => `${DATA.models[one.model].names[i]} ${score(v)}`).join(", ") || `${one.model}: no score`);
  return lines;
}
function bestOf(one, row, most) {
  return row[4].map((v, i) => [one.part.shown ? one.part.shown[i] : i, v]).filter((pair) => pair[1] !== null).sort((a, b) => b[1] - a[1]).slice(0, most);
}
function nearestMoment(one, t) {
  one.moments ??= momentsOf(one.rows); one.gap ??= usualGap(one.moments);
  const near = one.moments.reduce((best, m) => best === null || Math.abs(m - t) < Math.abs(best - t) ? m : best, null);
  return near !== null && Math.abs(near - t) <= Math.max(0.5, one.gap) ? near : null;
}
function spanSvg(width, { shown, scored, from, to, first, last, readout }) {
  const small = width < 500, left = small ? 84 : 104, right = 12, bars = [], scales = [];
  const x = (t) => left + (t - from) / (to - from) * (width - left - right);
  const inside = (row) => row[0] <= to && endOf(row) >= from;
  for (const one of scored) {
    const labels = DATA.models[one.model].names, at = new Map((one.part.shown || labels.map((_, i) => i)).map((i, position) => [i, position]));
    bars.push({ title: one.model, height: 22, draw: (g, y) => words(g, y, 22, one.rows, (row) => bestOf(one, row, 1).map(([i, v]) => `${labels[i]} ${(v / 1000).toFixed(2)}`)[0] || "no score", null) });
    const best = one.part.mean.map((v, i) => [v, i]).filter((pair) => pair[0] !== null && at.has(pair[1])).sort((a, b) => weight(one.part, b[1], one.part.n) - weight(one.part, a[1], one.part.n)).slice(0, 3);
    const scale = colourScale(DATA.models[one.model].open ? DATA.models[one.model].lowest : 0, one.rows.reduce((high, row) => best.reduce((h, b) => Math.max(h, row[4][at.get(b[1])] ?? 0), high), 1));
    scales.push([one.model, scale]);
    for (const [, i] of best) bars.push({ title: labels[i], soft: true, height: 15, draw: (g, y) => one.rows.filter(inside).forEach((row) => { const v = row[4][at.get(i)]; block(g, row, y + 1, 13, v === null ? ink("--empty") : scale.at(v), null); }) });
  }
  for (const one of shown) {
    const lanes = one.signal.lanes ? lanesOf(one.rows).slice(0, MOST_LANES) : [[null, one.rows]];
    if (one.signal.box) {
      const gap = usualGap(momentsOf(one.rows)), more = lanesOf(one.rows).length - MOST_LANES;
      [...lanes].sort((a, b) => a[1][0][0] - b[1][0][0]).forEach(([lane, rows]) => bars.push({ title: `${one.signal.title} ${lane}`, height: 17, draw: (g, y) => presence(g, y, one, rows, gap, lineColour(lane)) }));
      if (more > 0) bars.push({ title: `${more} more`, soft: true, height: 15, draw: () => {} });
    }
    [...new Set(one.signal.curves.map((curve) => curve.graph))].forEach((title, c) => {
      const curves = one.signal.curves.filter((curve) => curve.graph === title && one.rows.some((row) => row[curve.at[0]] !== null));
      // A line for each lane, in its colour; else a colour for each graph.
      if (curves.length) bars.push({ title, unit: curves[0].unit, height: one.signal.lanes ? 62 : small ? 74 : 92, draw: (g, y, h) => graph(g, y, h, one, lanes.flatMap(([lane, rows]) => curves.map((curve, i) => [rows, curve, lineColour(lane ?? c), i > 0]))) });
    });
    if (!one.signal.box && !one.signal.curves.length && one.rows.length) bars.push({ title: one.signal.title, height: one.signal.whole ? 32 : 24, draw: (g, y, h) => one.signal.free ? free(g, y, h, one.rows, one.signal.whole ? 2 : 1) : words(g, y, h, one.rows, (row) => row[2] || "", "--empty") });
  }
  const top = 6, gap = 4, bottom = top + bars.reduce((sum, bar) => sum + bar.height + gap, 0), height = bottom + 40 + scales.length * 46;
  const svg = canvas(width, height, "What was measured, over time; arrow keys move along it");
  svg.setAttribute("tabindex", 0); svg.setAttribute("class", "span");
  const ticks = ticksOf(from, to, Math.max(3, Math.floor(width / 110)));
  for (const t of ticks) svg.append(shape("line", { x1: x(t), x2: x(t), y1: top, y2: bottom, stroke: ink("--grid") }), written(x(t), bottom + 15, timeWords(t, last - first), { "text-anchor": x(t) > width - 30 ? "end" : "middle" }));
  svg.append(written((left + width - right) / 2, bottom + 31, timeTitle(last - first), { "text-anchor": "middle" }));
  scales.forEach(([model, scale], i) => colourLegend(svg, left, bottom + 56 + i * 46, Math.min(220, width - left - right), scale, `${model}: score`));
  function block(g, row, y, h, fill, stroke) {
    const begin = Math.max(left, x(row[0])), end = Math.min(width - right, x(endOf(row)));
    g.append(shape("rect", { x: begin.toFixed(1), y, width: Math.max(1, end - begin - 0.6).toFixed(1), height: h, rx: 2, fill, stroke }));
    return [begin, end];
  }
  /* Texts where they fit; where not, only that there is something. */
  function words(g, y, h, rows, text, fill) {
    for (const row of rows.filter(inside)) {
      if (fill) block(g, row, y, h - 1, ink(fill), ink("--line"));
      const begin = Math.max(left, x(row[0])), room = Math.floor((Math.min(width - right, x(endOf(row))) - begin - 6) / 6.2);
      if (room >= 3) g.append(shape("text", { x: (begin + 3).toFixed(1), y: y + h / 2 + 4, "font-size": 11 }, cut(text(row), room)));
      else if (!fill) block(g, row, y + h - 7, 4, ink("--pending"), null);
    }
  }
  /* Short texts that may reach beyond their end, whole or not at all, in so many lines in turn. Of a text that goes
     on, a few words would only mislead: then none is written. */
  function free(g, y, h, rows, lines) {
    const size = h / lines, seen = [];
    rows.forEach((row, i) => {
      if (!inside(row)) return;
      const next = rows[i + lines], begin = x(row[0]), end = next ? x(next[0]) : x(endOf(row)) + (lines > 1 ? 30 : 200);
      seen.push([row, y + (i % lines) * size, begin, (row[2] || "").length * 6 < end - begin && begin >= left - 1]);
    });
    const written = lines < 2 || seen.filter((one) => one[3]).length * 2 > seen.length;
    for (const [row, above, begin, fits] of seen) {
      block(g, row, above + (fits && written ? size - 3 : size / 2 - 2), fits && written ? 2 : 5, ink("--pending"), null);
      if (fits && written) g.append(shape("text", { x: begin.toFixed(1), y: above + size - 6, "font-size": 11 }, row[2] || ""));
    }
  }
  /* Lines on one axis: [rows of one lane, curve, colour, dashed]. What lies on both sides of a gap is not joined. */
  function graph(g, y, h, one, lines) {
    const all = lines.flatMap(([rows, curve]) => rows.flatMap((row) => curve.at.map((at) => at === null ? null : row[at]))).filter((v) => v !== null && v !== undefined);
    if (!all.length) return;
    let low = all.reduce((a, b) => Math.min(a, b)), high = all.reduce((a, b) => Math.max(a, b));
    const least = lines[0][1].span;
    if (high - low < least / 2) { low -= least / 2; high += least / 2; }
    const above = (v) => y + h - 5 - (v - low) / (high - low || 1) * (h - 10);
    for (const v of ticksOf(low, high, h < 70 ? 3 : 4, false)) g.append(shape("line", { x1: left, x2: width - right, y1: above(v), y2: above(v), stroke: ink("--grid") }), shape("text", { x: left - 5, y: above(v) + 4, "font-size": 10, "text-anchor": "end", fill: ink("--soft") }, String(v)));
    for (const [rows, curve, colour, dashed] of lines) line(g, above, one, rows, curve, colour, dashed);
  }
  function line(g, above, one, rows, curve, colour, dashed) {
    const [at, lowAt, highAt] = curve.at, middle = (row) => x((row[0] + endOf(row)) / 2);
    const edge = rows.findIndex(inside), near = edge < 0 ? [] : rows.filter((row, i) => inside(row) || i === edge - 1);
    const after = rows.find((row) => row[0] > to);
    if (after) near.push(after);
    const usual = usualGap(momentsOf(rows)), runs = [[]];
    near.forEach((row, i) => { const known = row[at] !== null; if (!known || (i && !adjacent(one, near[i - 1], row, usual))) { if (runs.at(-1).length) runs.push([]); } if (known) runs.at(-1).push(row); });
    for (const run of runs.filter((r) => r.length)) {
      if (lowAt !== null && run.length > 1 && run.every((row) => row[lowAt] !== null && row[highAt] !== null)) g.append(shape("polygon", { points: [...run.map((row) => `${middle(row).toFixed(1)},${above(row[highAt]).toFixed(1)}`), ...[...run].reverse().map((row) => `${middle(row).toFixed(1)},${above(row[lowAt]).toFixed(1)}`)].join(" "), fill: colour, "fill-opacity": 0.2 }));
      if (run.length > 1) g.append(shape("polyline", { points: run.map((row) => `${middle(row).toFixed(1)},${above(row[at]).toFixed(1)}`).join(" "), fill: "none", stroke: colour, "stroke-width": one.signal.lanes ? 1.5 : 2, "stroke-linejoin": "round", "stroke-dasharray": dashed ? "3 3" : null }));
      else g.append(shape("circle", { cx: middle(run[0]).toFixed(1), cy: above(run[0][at]).toFixed(1), r: 2.5, fill: colour }));
    }
  }
  function presence(g, y, one, rows, gap, colour) {
    let begin = null, before = null;
    const close = () => { if (begin !== null && before + gap >= from && begin <= to) { const a = Math.max(left, x(begin - gap / 2)), b = Math.min(width - right, x(before + gap / 2)); g.append(shape("rect", { x: a.toFixed(1), y: y + 2, width: Math.max(2, b - a).toFixed(1), height: 12, rx: 3, fill: colour })); } };
    rows.forEach((row, i) => { if (!i || !adjacent(one, rows[i - 1], row, gap)) { close(); begin = row[0]; } before = row[0]; });
    close();
  }
  // What begins before the window or ends after it is not drawn outside of it.
  const clip = `window-${Math.round(width)}`;
  svg.append(shape("clipPath", { id: clip }));
  svg.lastChild.append(shape("rect", { x: 0, y: 0, width: width - right + 1, height }));
  let y = top;
  for (const bar of bars) {
    const g = shape("g", { "clip-path": `url(#${clip})` });
    svg.append(g);
    bar.draw(g, y, bar.height);
    const tall = bar.height > 40, label = shape("text", { x: 0, y: tall ? y + 14 : y + bar.height / 2 + 4, "font-size": 11, fill: ink(bar.soft ? "--soft" : "--ink") }, cut(bar.title, small ? 9 : 16));
    svg.append(label);
    if (bar.unit) svg.append(shape("text", { x: 0, y: y + 28, "font-size": 10, fill: ink("--soft") }, bar.unit));
    y += bar.height + gap;
  }
  const rule = shape("line", { y1: top, y2: bottom, stroke: ink("--ink"), "stroke-dasharray": "3 3", visibility: "hidden" });
  svg.append(rule);
  const point = (t) => { const at = Math.max(from, Math.min(to, t)); rule.setAttribute("x1", x(at)); rule.setAttribute("x2", x(at)); rule.setAttribute("visibility", "visible"); return at; };
  if (glance.at !== null && glance.at >= from && glance.at <= to) point(glance.at);
  const under = (event) => { const box = svg.getBoundingClientRect(); return from + ((event.clientX - box.left) * width / box.width - left) / (width - left - right) * (to - from); };
  const settle = (t) => { glance.at = t; readout.textContent = factsAt(shown, scored, t).join(" · "); for (const redraw of frames) redraw(t); };
  svg.addEventListener("pointermove", (event) => showTip(factsAt(shown, scored, point(under(event))).join("\n"), event.clientX, event.clientY));
  svg.addEventListener("pointerleave", () => { hideTip(); if (glance.at === null) rule.setAttribute("visibility", "hidden"); else point(glance.at); });
  svg.addEventListener("click", (event) => settle(point(under(event))));
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    settle(point(glance.at === null || glance.at < from || glance.at > to ? from : glance.at + step * (to - from) / 60));
  });
  return svg;
}
/* Where the boxes were, at the moment that was chosen and at some evenly spread ones. */
let frames = [];
function drawFrames(holder, source, one) {
  const rows = one.part.rows, moments = momentsOf(rows), width = holder.clientWidth;
  const most = Math.min(moments.length, Math.max(2, Math.floor(width / 170)), 5);
  const boxes = rows.map((row) => boxOf(one.signal, row)).filter((box) => box.every((v) => v !== null));
  if (!boxes.length) return;
  const sizes = one.signal.frame === null ? [] : rows.map((row) => one.signal.frame.map((at) => row[at])).filter((size) => size.every((v) => v !== null && v !== undefined));
  const wide = sizes.length ? sizes.reduce((a, b) => Math.max(a, b[0]), 1) : boxes.reduce((a, b) => Math.max(a, b[0] + b[2]), 1) * 1.04, tall = sizes.length ? sizes.reduce((a, b) => Math.max(a, b[1]), 1) : boxes.reduce((a, b) => Math.max(a, b[1] + b[3]), 1) * 1.04;
  const spread = Array.from({ length: most }, (_, i) => moments[Math.floor((i + 0.5) * moments.length / most)]);
  const board = el("figure", { class: "frames" }), each = Math.min(220, width / most - 8), scale = Math.min(each / wide, 150 / tall);
  const paint = (chosen) => {
    const found = spread.map((t) => [t, false]);
    if (chosen !== null && moments[0] !== null) {
      const near = nearestMoment(one, chosen), nearest = spread.reduce((best, t, i) => Math.abs(t - chosen) < Math.abs(spread[best] - chosen) ? i : best, 0);
      found[nearest] = [near, true, chosen];
    }
    const height = tall * scale + 24, svg = canvas(width, height, `Where the ${one.signal.title}s were in the picture`);
    found.forEach(([t, picked, asked], i) => {
      const begin = i * (width / most), here = rows.filter((row) => row[0] === t && (t !== null || moments[0] === null));
      const g = shape("g", { role: "img", tabindex: 0, "aria-label": `${t === null ? asked === undefined ? "the picture" : clock(asked) : clock(t)}: ${plural(here.length, one.signal.title)}` });
      g.append(shape("rect", { x: begin + 1, y: 1, width: wide * scale - 2, height: tall * scale - 2, rx: 3, fill: ink("--empty"), stroke: picked ? ink("--ink") : ink("--line"), "stroke-width": picked ? 2 : 1 }));
      for (const row of here) {
        const [bx, by, bw, bh] = boxOf(one.signal, row), colour = lineColour(row[3] ?? 0);
        if (bx === null) continue;
        g.append(shape("rect", { x: begin + bx * scale, y: by * scale, width: bw * scale, height: bh * scale, rx: 2, fill: colour, "fill-opacity": 0.25, stroke: colour, "stroke-width": 2 }));
        if (row[3] !== null) g.append(shape("text", { x: begin + (bx + bw / 2) * scale, y: (by + bh / 2) * scale + 4, "text-anchor": "middle", "font-size": 11, "font-weight": 700 }, String(row[3])));
      }
      if (t !== null || picked) g.append(shape("text", { x: begin + 2, y: tall * scale + 16, "font-size": 11, fill: ink("--soft") }, (t === null ? clock(asked) + ": none" : clock(t)) + (picked ? ", chosen" : "")));
      tell(g, here.map((row) => `${one.signal.title}${row[3] === null ? "" : " " + row[3]}: ${told(one.signal, row)}`).join("\n") || `no ${one.signal.title}`);
      svg.append(g);
    });
    board.replaceChildren(svg, el("figcaption", {}, (sizes.length ? "Frames are the picture's edges; the picture itself is not in this page." : "Frames reach from the picture's upper left corner to the outermost edge of a box; the picture itself is not in this page.") + (moments.length > 1 ? " Choose a moment in the timeline to see it here." : "")));
  };
  frames.push(paint);
  holder.append(el("h3", {}, `${one.signal.title}: boxes`), board);
  paint(glance.at);
}
/* What was heard, where no table of scores has the words. */
function drawHeard(holder, one) {
  longTable(holder, `${one.name}: words`, ["At", "Words", ""], one.rows.filter((row) => row[2] !== null), (row) => el("tr", {}, el("td", {}, clock(row[0])), el("td", {}, row[2]), el("td", {}, told(one.signal, row))), "texts");
}
