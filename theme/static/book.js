// What the pages do beyond being read. All of them can be read without it.

const root = document.documentElement;

// Light or dark: as the system says, until the reader chooses.
const toggle = document.querySelector("button.theme");
const systemDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (root.dataset.theme || (systemDark.matches ? "dark" : "light")) === "dark";

function describeToggle() {
  const label = `Change to the ${isDark() ? "light" : "dark"} colour theme`;
  toggle.setAttribute("aria-label", label);
  toggle.title = label;
}

toggle.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  try {
    localStorage.setItem("theme", root.dataset.theme);
  } catch {
    // Without storage, which some browsers deny to local files, it holds for this page.
  }
  describeToggle();
});
systemDark.addEventListener("change", describeToggle);
describeToggle();
toggle.hidden = false;

// What is too wide scrolls inside itself, and then the keyboard must reach it.
const SCROLLING = "pre, .scroll, .html";
const reachable = new ResizeObserver(entries => {
  for (const { target } of entries) {
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }
});
document.querySelectorAll(SCROLLING).forEach(element => reachable.observe(element));

// Copy buttons.
for (const source of document.querySelectorAll(".source")) {
  const button = document.createElement("button");
  button.className = "copy";
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(source.querySelector("code").textContent);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  source.append(button);
}

// The outline shows the section that is being read.
const entries = new Map(
  [...document.querySelectorAll(".outline a")].map(link => [
    document.getElementById(decodeURIComponent(link.hash.slice(1))), link,
  ]),
);
function markPlace() {
  const top = document.querySelector(".bar").offsetHeight + 40;
  let place = null;
  for (const [heading, link] of entries) {
    link.removeAttribute("aria-current");
    if (heading.getBoundingClientRect().top <= top) place = link;
  }
  place?.setAttribute("aria-current", "true");
}
if (entries.size) {
  addEventListener("scroll", markPlace, { passive: true });
  markPlace();
}

// A link into a folded part opens it, and printing opens all.
function unfold() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let part = target; part; part = part.parentElement) {
    if (part.tagName === "DETAILS") part.open = true;
  }
}
addEventListener("hashchange", unfold);
unfold();
addEventListener("beforeprint", () => {
  document.querySelectorAll("details").forEach(part => (part.open = true));
});
