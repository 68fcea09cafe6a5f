// What the pages do beyond being read. All of them can be read without it.

// A script that only some readers need, once: the words to search, the previews.
const scripts = new Map();
function loadScript(name) {
  if (!scripts.has(name)) {
    scripts.set(name, new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = `static/${name}`;
      script.onload = resolve;
      script.onerror = reject;
      document.head.append(script);
    }));
  }
  return scripts.get(name);
}

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
const SCROLLING = { pre: "Code", "pre.output": "Output", ".equation .scroll": "Equation", ".scroll:has(table), .html": "Table", ".picture": "Figure" };
const reachable = new ResizeObserver(entries => {
  for (const { target } of entries) {
    const scrolls = target.scrollWidth > target.clientWidth;
    const label = Object.entries(SCROLLING).findLast(([kind]) => target.matches(kind))[1];
    const wanted = { tabindex: "0", role: "group", "aria-label": `${label}, scrolls sideways` };
    for (const [name, value] of Object.entries(wanted)) {
      if (scrolls) target.setAttribute(name, value);
      else target.removeAttribute(name);
    }
  }
});
document.querySelectorAll(Object.keys(SCROLLING)).forEach(part => reachable.observe(part));

// Long code, output and tables show their beginning, and the rest on request.
for (const long of document.querySelectorAll(".long")) {
  const button = document.createElement("button");
  const toggle = () => {
    const open = long.classList.toggle("open");
    button.setAttribute("aria-expanded", open);
    button.textContent = open ? "Show less" : `Show all ${long.dataset.all}`;
  };
  button.className = "more";
  button.type = "button";
  button.addEventListener("click", toggle);
  long.classList.add("open");
  toggle();
  long.append(button);
}

// Who reads from a folder has the whole book already.
if (location.protocol === "file:") document.querySelector(".offline")?.remove();

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

// The contents show the page, and the outline the section, that is being read.
const here = document.querySelector(".contents [aria-current]");
requestAnimationFrame(() => here?.closest("nav").scrollTo(0, here.offsetTop - 200));
document.querySelector(".outline")?.addEventListener("click", event => {
  const menu = event.currentTarget;
  if (event.target.closest("a") && menu.matches(":popover-open")) menu.hidePopover();
});
const entries = new Map(
  [...document.querySelectorAll(".outline a")].map(link => [
    document.getElementById(decodeURIComponent(link.hash.slice(1))), link,
  ]),
);
function markPlace() {
  const top = document.querySelector(".bar").offsetHeight + 40;
  let place = null;
  const atEnd = scrollY + innerHeight >= root.scrollHeight - 2;
  for (const [heading, link] of entries) {
    link.removeAttribute("aria-current");
    if (atEnd || heading.getBoundingClientRect().top <= top) place = link;
  }
  place?.setAttribute("aria-current", "true");
}
if (entries.size) {
  addEventListener("scroll", () => requestAnimationFrame(markPlace), { passive: true });
  requestAnimationFrame(markPlace);
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
