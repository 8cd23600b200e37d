/* What is on view as a picture for a paper: drawn anew at a width in millimetres, black on white, with title, what it
   is of, axes and legend; as SVG, or as PNG with 300 dots an inch. */
const shot = { mm: 180 };
const PIXELS = 96 / 25.4;
function wrapped(text, most) {
  const lines = [""];
  for (const word of text.split(" ")) {
    if (lines.at(-1) && lines.at(-1).length + word.length >= most) lines.push("");
    lines[lines.length - 1] = `${lines.at(-1)} ${word}`.trim();
  }
  return lines.map((line) => cut(line, most + 12));
}
/* A picture of chosen scores says which of how many they are: a reader takes them for all. */
const someOf = (shown, all, how) => shown < all ? `Drawn: ${how ? `${how} ` : ""}${shown} of ${all} scores.` : "";
function picture(draw, told) {
  const width = Math.round(shot.mm * PIXELS), edge = 12, before = paper;
  paper = true;
  try {
    const inner = draw(width - 2 * edge), { title, notes } = told();
    for (const node of inner.querySelectorAll("[tabindex]")) node.removeAttribute("tabindex");
    const head = wrapped(title, Math.floor((width - 2 * edge) / 7.4));
    const foot = [...notes, ...(DATA.simulated ? ["SIMULATED SCORES: made up by the emulator, no measurement"] : [])].flatMap((note) => wrapped(note, Math.floor((width - 2 * edge) / 5.6)));
    const top = edge + head.length * 18 + 8, below = top + +inner.getAttribute("height") + 6, height = Math.ceil(below + foot.length * 14 + edge);
    const svg = shape("svg", { xmlns: SVG, width: `${shot.mm}mm`, height: `${(height / PIXELS).toFixed(2)}mm`, viewBox: `0 0 ${width} ${height}`, "font-family": FONT, fill: ink("--ink") });
    svg.append(shape("title", {}, title), shape("rect", { width, height, fill: "#fff" }));
    head.forEach((line, i) => svg.append(shape("text", { x: edge, y: edge + 13 + i * 18, "font-size": 14, "font-weight": 700 }, line)));
    const group = shape("g", { transform: `translate(${edge},${top})`, "font-size": 12 });
    group.append(...inner.childNodes);
    svg.append(group);
    foot.forEach((line, i) => svg.append(written(edge, below + 12 + i * 14, line, { "font-size": 10.5 })));
    return { svg, width, height };
  } finally { paper = before; }
}
function handOver(blob, file) {
  const address = URL.createObjectURL(blob);
  el("a", { href: address, download: file }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
function asPng({ svg, width, height }, file) {
  // An image in the page may come from data alone, so the drawing goes there and not to an address of its own.
  svg.setAttribute("width", width); svg.setAttribute("height", height);
  const image = new Image(), scale = 300 / 96;
  image.onload = () => {
    const board = el("canvas", { width: Math.round(width * scale), height: Math.round(height * scale) });
    board.getContext("2d").drawImage(image, 0, 0, board.width, board.height);
    board.toBlob((blob) => handOver(blob, file), "image/png");
  };
  image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(new XMLSerializer().serializeToString(svg));
}
/* Controls that save what `draw(width)` draws, as wide as `widthField` says; `told()` gives {title, notes}. */
const widthField = () => {
  const millimetres = el("input", { type: "number", min: 60, max: 400, step: 1, value: shot.mm, class: "mm", "aria-label": "Width of the picture in millimetres", onchange: () => {
    shot.mm = Math.max(60, Math.min(400, Math.round(+millimetres.value) || 180));
    for (const field of document.querySelectorAll("input.mm")) field.value = shot.mm;
  } });
  return el("span", { class: "saving" }, "Pictures", millimetres, "mm wide");
};
/* Rows as CSV that no spreadsheet takes for a formula. */
const csv = (rows) => rows.map((row) => row.map((cell) => {
  const text = cell === null ? "" : typeof cell === "string" && /^[=+\-@\t\r\n]/.test(cell) ? `'${cell}` : String(cell);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}).join(",") + "\r\n").join("");
function saving(draw, told, table) {
  const file = (ending) => told().title.replace(/[^\w.-]+/g, "_").slice(0, 80) + ending;
  return el("span", { class: "saving", role: "group", "aria-label": "Save as a picture" },
    el("button", { type: "button", class: "save-svg", onclick: () => handOver(new Blob([new XMLSerializer().serializeToString(picture(draw, told).svg)], { type: "image/svg+xml" }), file(".svg")) }, "Save SVG"),
    ...(table ? [el("button", { type: "button", class: "save-csv", onclick: () => handOver(new Blob([csv(table())], { type: "text/csv" }), file(".csv")) }, "Save CSV")] : []),
    el("button", { type: "button", class: "save", onclick: () => asPng(picture(draw, told), file(".png")) }, "Save PNG"));
}
