/* All of it, once; and again where the ground changes. */
for (const part of document.querySelectorAll("[data-grow]")) part.style.flexGrow = part.dataset.grow;
reorder();
setUpHeat();
if (!$("overview-controls")) $("source-controls").append(namingChoice());
$("search").addEventListener("input", () => { list.page = 0; drawList(); });
$("outcome").addEventListener("change", () => { list.page = 0; drawList(); });
// A phone has the source that was chosen first, and the list below it, for eyes and for screen readers.
const arrange = () => { const split = $("detail").parentElement; if (narrow.matches) split.prepend($("detail")); else split.append($("detail")); };
const drawAll = () => { inks = {}; arrange(); drawGroups(); drawHeat(); drawDetail(); drawJobs(); hintScrolling(); };
// What was measured in most ways shows most of the page.
const ways = (source) => Object.keys(source.m || {}).length + Object.keys(source.g || {}).length;
list.chosen = inOrder.reduce((best, source) => !best || ways(source) > ways(best) ? source : best, null);
drawList();
drawAll();
let width = innerWidth;
addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; drawAll(); } });
dark.addEventListener("change", () => { drawAll(); drawList(); drawKeys(); });
for (const one of document.querySelectorAll("details")) one.addEventListener("toggle", hintScrolling);
// What is folded is printed all the same where it tells what numbers are worth.
const folded = () => document.querySelectorAll(":is(#who, #groups) details:not([open])");
let unfolded = [];
// Charts are drawn for the width of the sheet, so that their words are as large as the text around them.
const onPaper = (now) => { paper = now; document.documentElement.classList.toggle("paper", now); };
addEventListener("beforeprint", () => { onPaper(true); drawAll(); unfolded = [...folded()]; for (const one of unfolded) one.open = true; });
addEventListener("afterprint", () => { for (const one of unfolded) one.open = false; onPaper(false); drawAll(); });
document.documentElement.dataset.ready = "yes";
