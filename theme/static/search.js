// Full-text search. The index is a script, fetched when the search is first opened, so
// that it works in a page opened from a folder as well.

const dialog = document.querySelector("dialog.search");
const field = dialog.querySelector("input");
const status = dialog.querySelector("[role=status]");
const list = dialog.querySelector("ol");
const opener = document.querySelector(".search-button");
const MOST = 30;

async function openSearch() {
  if (!dialog.open) dialog.showModal();
  field.select();
  await loadScript("search-index.js");
  showResults();
}

// Sections that hold every word, those first that have it in a heading or often.
function find(query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const found = [];
  // Typing may begin before the index has come.
  for (const [href, page, heading, text] of (words.length && window.bookIndex) || []) {
    const title = `${page} ${heading}`.toLowerCase();
    const body = text.toLowerCase();
    if (!words.every(word => title.includes(word) || body.includes(word))) continue;
    let score = 0;
    for (const word of words) {
      score += heading.toLowerCase().includes(word) ? 10 : 0;
      score += page.toLowerCase().includes(word) ? 4 : 0;
      score += Math.min(body.split(word).length - 1, 5);
    }
    if (body.includes(query.toLowerCase().trim())) score += 5;
    const first = words.map(word => body.indexOf(word)).filter(at => at >= 0);
    found.push({ href, page, heading, text, words, score, at: Math.min(...first, text.length) });
  }
  return found.sort((a, b) => b.score - a.score);
}

function showResults() {
  const found = find(field.value);
  const shown = found.slice(0, MOST);
  status.textContent = !field.value.trim() ? "" :
    found.length > MOST ? `The best ${MOST} of ${found.length} sections` :
    found.length === 1 ? "1 section" : `${found.length} sections`;
  list.replaceChildren(...shown.map(result => {
    const link = document.createElement("a");
    link.href = result.href;
    link.append(result.heading || result.page);
    if (result.heading && result.heading !== result.page) {
      link.append(Object.assign(document.createElement("small"), { textContent: result.page }));
    }
    const excerpt = document.createElement("p");
    const start = Math.max(0, result.text.lastIndexOf(" ", result.at - 60));
    const end = result.at === result.text.length ? 0 : start + 180;
    mark(excerpt, result.text.slice(start, end), result.words);
    const item = document.createElement("li");
    item.append(link, excerpt);
    return item;
  }));
}

function mark(parent, text, words) {
  const escaped = words.map(word => word.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
  const parts = text.split(new RegExp(`(${escaped.join("|")})`, "i"));
  parent.append(...parts.map((part, i) =>
    i % 2 ? Object.assign(document.createElement("mark"), { textContent: part }) : part));
}

opener.hidden = false;
opener.addEventListener("click", openSearch);
field.addEventListener("input", showResults);
dialog.addEventListener("click", event => {
  // Beside the dialog, or on a result that is on this very page.
  if (event.target === dialog || event.target.closest("a")) dialog.close();
});
dialog.addEventListener("keydown", event => {
  const links = [...list.querySelectorAll("a")];
  const at = links.indexOf(document.activeElement);
  if (event.key === "ArrowDown") (links[at + 1] ?? links[0])?.focus();
  else if (event.key === "ArrowUp") (links[at - 1] ?? field).focus();
  else if (event.key === "Enter" && event.target === field) links[0]?.click();
  else if (event.key === "Escape") dialog.close(); // also where it would clear the field
  else return;
  event.preventDefault();
});
addEventListener("keydown", event => {
  const typing = event.target.matches("input, textarea, select");
  const slash = event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey;
  if (slash || (event.key === "k" && (event.ctrlKey || event.metaKey))) {
    event.preventDefault();
    openSearch();
  }
});
