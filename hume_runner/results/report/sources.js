/* The list of sources: search, outcome, pages. */
const list = { page: 0, chosen: null };
const haystack = new Map(DATA.sources.map((source) => [source, [source.i, source.s || "", source.x || "", source.e || "", source.k, ...Object.entries(source.l || {}).map(([k, v]) => `${k}: ${v}`)].join("\n").toLowerCase()]));
function matches() {
  const words = $("search").value.trim().toLowerCase(), outcome = $("outcome").value;
  const terms = words.includes(": ") ? [words] : words.split(/\s+/);
  return inOrder.filter((source) => (!outcome || source.t === outcome) && terms.every((term) => haystack.get(source).includes(term)));
}
function strongest(source, most) {
  const found = [];
  for (const model of MODELS) if (source.m && source.m[model]) source.m[model].mean.forEach((v, i) => { if (v !== null) found.push([weight(source.m[model], i, source.m[model].n), DATA.models[model].names[i], model]); });
  const names = new Set();
  return found.sort((a, b) => b[0] - a[0]).filter((b) => !names.has(b[1]) && names.add(b[1])).slice(0, most);
}
function drawList() {
  const found = matches(), pages = Math.max(1, Math.ceil(found.length / PAGE));
  list.page = Math.min(list.page, pages - 1);
  $("found").textContent = found.length === DATA.sources.length ? plural(found.length, "source") : `${found.length.toLocaleString("en")} of ${plural(DATA.sources.length, "source")}`;
  renew($("list"), ...found.slice(list.page * PAGE, (list.page + 1) * PAGE).map((source) => {
    const dot = el("span", { class: groupBy ? "dot" : `dot ${source.t}`, "aria-hidden": "true" });
    if (groupBy) dot.style.background = groupColour(source);
    const best = strongest(source, 2).map((b) => b[1]).join(", "), also = alias(source);
    return el("li", {}, el("button", { type: "button", "aria-current": source === list.chosen ? "true" : "false", title: also || place(source), onclick: () => choose(source, false) }, dot,
      el("span", { class: "words" }, el("span", { class: "name" }, cutName(name(source), 38)), also ? el("span", { class: "start" }, cutName(also, 90)) : null,
        el("span", { class: "more" }, source.t === "done" ? best || gist(source) || "nothing found" : source.t.replace("_", " ") + (source.e ? `: ${source.e}` : "")))));
  }));
  renew($("pager"), ...pagerParts(list.page, pages, (page) => { list.page = page; drawList(); }));
}
/* What is controlled and drawn anew keeps the focus where it was. */
function renew(holder, ...nodes) {
  const all = () => [...holder.querySelectorAll("button, select, input, summary, [tabindex]")], at = all().indexOf(document.activeElement);
  holder.replaceChildren(...nodes);
  if (at < 0) return;
  const now = all(), next = [...now.slice(0, at + 1).reverse(), ...now].find((node) => !node.disabled);
  if (next) next.focus({ preventScroll: true });
}

/* One source: its words, then each table's scores. */
function choose(source, go) {
  list.chosen = source;
  drawList();
  drawDetail();
  if (go || narrow.matches) { $("detail").scrollIntoView({ block: "start" }); $("detail").focus({ preventScroll: true }); }
}
function drawDetail() {
  const source = list.chosen, holder = $("detail");
  holder.replaceChildren();
  if (!source) return;
  holder.append(el("div", { class: "head" }, el("h3", {}, name(source)), el("span", { class: "note" }, naming === "id" || source.i === name(source) ? "" : `id ${source.i}`), source.m || source.g ? widthField() : null));
  if (source.k === "text" && source.x && name(source) !== source.x) holder.append(el("p", { class: "words-of" }, `“${source.x}”`));
  if (place(source) !== name(source)) holder.append(el("p", { class: "note" }, place(source)));
  const dot = el("span", { class: `dot ${source.t}` });
  holder.append(el("p", {}, el("span", { class: "tag" }, dot, source.t.replace("_", " ")), el("span", { class: "tag" }, source.k), ...Object.entries(source.l || {}).map(([k, v]) => el("span", { class: "tag" }, `${k}: ${v}`))));
  if (source.e) holder.append(el("p", { class: "error" }, source.e));
  const parts = source.m || {};
  if (!Object.keys(parts).length && !source.g && source.t === "done") holder.append(el("p", { class: "note" }, "The service found nothing to measure in this source."));
  frames = [];
  drawSignals(holder, source);
  for (const model of MODELS) if (parts[model]) drawModel(holder, source, model, parts[model]);
  hintScrolling();
}
