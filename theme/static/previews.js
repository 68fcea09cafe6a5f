// A link into the book shows where it leads: rest on it with the pointer, or reach it
// with the keyboard. Escape, or leaving it, puts the preview away.

const preview = Object.assign(document.createElement("div"), {
  className: "preview",
  id: "preview",
  role: "tooltip",
  popover: "manual",
});
document.body.append(preview);
const LINKS = "main a:is(.reference, .citation), .footnote-mark a";
const WAIT = 250; // milliseconds, also the time to move from the link to its preview
let shownFor = null;
let timer;

// A copy of what a link leads to, or null.
async function target(link) {
  const href = link.getAttribute("href");
  const copy = document.createElement("div");
  if (href.startsWith("#")) {
    const place = document.getElementById(decodeURIComponent(href.slice(1)));
    if (!place) return null;
    copy.append(place.cloneNode(true));
    if (/^H\d$/.test(place.tagName)) {
      let next = place.nextElementSibling;
      while (next && next.tagName !== "P") next = next.nextElementSibling;
      if (next) copy.append(next.cloneNode(true));
    }
    if (place.tagName === "DT") copy.append(place.nextElementSibling.cloneNode(true));
  } else {
    await loadScript("previews-data.js");
    if (!bookPreviews[href]) return null;
    copy.innerHTML = bookPreviews[href];
  }
  copy.querySelectorAll(".anchor, button").forEach(part => part.remove());
  copy.querySelectorAll("a").forEach(link => link.replaceWith(...link.childNodes));
  copy.querySelectorAll("[id], [tabindex]").forEach(part => {
    part.removeAttribute("id");
    part.removeAttribute("tabindex");
  });
  return copy;
}

async function show(link) {
  const copy = await target(link);
  if (!copy || !(link.matches(":hover") || link === document.activeElement)) return;
  hide();
  shownFor = link;
  preview.replaceChildren(...copy.childNodes);
  preview.showPopover();
  link.setAttribute("aria-describedby", "preview");
  const box = link.getClientRects()[0];
  const { offsetWidth: width, offsetHeight: height } = preview;
  const below = box.bottom + 8;
  const above = box.top - height - 8;
  preview.style.top = `${below + height < innerHeight || above < 0 ? below : above}px`;
  preview.style.left = `${Math.max(8, Math.min(box.left, innerWidth - width - 8))}px`;
}

function hide() {
  shownFor?.removeAttribute("aria-describedby");
  shownFor = null;
  if (preview.matches(":popover-open")) preview.hidePopover();
}

function after(wait, action) {
  clearTimeout(timer);
  timer = setTimeout(action, wait);
}

for (const link of document.querySelectorAll(LINKS)) {
  link.addEventListener("pointerenter", event => {
    if (event.pointerType === "mouse") after(WAIT, () => show(link));
  });
  link.addEventListener("pointerleave", () => after(WAIT, hide));
  link.addEventListener("focus", () => {
    if (link.matches(":focus-visible")) after(0, () => show(link));
  });
  link.addEventListener("blur", () => after(0, hide));
}
preview.addEventListener("pointerenter", () => clearTimeout(timer));
preview.addEventListener("pointerleave", () => after(WAIT, hide));
addEventListener("keydown", event => {
  if (event.key === "Escape") after(0, hide);
});
addEventListener("scroll", hide, { passive: true });
