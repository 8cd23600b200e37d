/* Jobs: queued, running, fetched. */
const jobs = { page: 0, each: 40 };
const JOBS = DATA.jobs.filter((job) => job.at.some((t) => t !== null));
function jobsSvg(width) {
  const shown = JOBS.slice(jobs.page * jobs.each, (jobs.page + 1) * jobs.each);
  const all = JOBS.flatMap((job) => job.at.filter((t) => t !== null)), first = all.reduce((a, b) => Math.min(a, b)), last = all.reduce((a, b) => Math.max(a, b), first + 0.001);
  const left = Math.min(110, width * 0.27), row = 18, height = shown.length * row + 76, bottom = height - 40;
  const x = (t) => left + (t - first) / (last - first) * (width - left - 14), svg = canvas(width, height, "Jobs over time");
  const colours = [ink("--pending"), lineColour(0), lineColour(4)], words = ["queued", "running", "waiting to be fetched"];
  for (const after of ticksOf(0, last - first, Math.max(3, Math.floor(width / 110)))) svg.append(shape("line", { x1: x(first + after), x2: x(first + after), y1: 22, y2: bottom, stroke: ink("--grid") }), written(x(first + after), bottom + 15, timeWords(after, last - first), { "text-anchor": x(first + after) > width - 24 ? "end" : "middle" }));
  svg.append(written((left + width) / 2, bottom + 32, `time since the first job, ${last - first > 60 ? "min:s" : "s"}`, { "text-anchor": "middle" }));
  words.forEach((word, i) => { const lx = i * Math.min(150, width / 3.2); svg.append(shape("rect", { x: lx, y: 4, width: 12, height: 10, rx: 2, fill: colours[i] }), shape("text", { x: lx + 17, y: 14, "font-size": 11 }, cut(word, width < 500 ? 11 : 30))); });
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
  return svg;
}
function drawJobs() {
  const holder = $("jobs-chart");
  if (!holder) return;
  if (!JOBS.length) { holder.replaceChildren(el("p", { class: "note" }, `${plural(DATA.jobs.length, "job")}; when they ran is not in these files.`)); return; }
  const pages = Math.ceil(JOBS.length / jobs.each);
  holder.replaceChildren(jobsSvg(holder.clientWidth));
  renew($("jobs-controls"), widthField(), saving(jobsSvg, () => ({ title: `${DATA.name}: jobs over time`, notes: [`n = ${plural(JOBS.length, "job")}`] })), ...pagerParts(jobs.page, pages, (page) => { jobs.page = page; drawJobs(); }));
}
