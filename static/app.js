"use strict";
// Live parts ask again by themselves (htmx). They rest while nobody looks or while somebody decides, and keep what was
// opened, focused and scrolled.

const kept = { open: new Map(), inside: new Map(), focus: null };

document.addEventListener("htmx:beforeRequest", (event) => {
  const part = event.target;
  if (part.id !== "live") return; // a fold that somebody opens is loaded at once
  const busy = part.contains(document.activeElement) && /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);
  if (document.hidden || busy || part.querySelector("details.decide[open]") || String(getSelection()).length) event.preventDefault();
});

document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.target.id !== "live") return;
  kept.open.clear();
  kept.inside.clear();
  for (const fold of event.target.querySelectorAll("details[id]")) {
    if (!fold.dataset.touched) continue;
    kept.open.set(fold.id, fold.open);
    if (fold.open && fold.matches(".pass")) kept.inside.set(fold.id, fold.querySelector(".pass-in").innerHTML);
  }
  const focused = document.activeElement;
  kept.focus = null;
  if (event.target.contains(focused)) {
    kept.focus = focused.id ? "#" + CSS.escape(focused.id)
      : focused.matches("summary") ? "#" + CSS.escape(focused.parentElement.id) + " > summary"
      : focused.href ? `a[href="${CSS.escape(focused.getAttribute("href"))}"]` : null;
  }
});

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target.id !== "live") return;
  for (const [id, open] of kept.open) {
    const fold = document.getElementById(id);
    if (!fold) continue;
    fold.open = open;
    fold.dataset.touched = "1";
    const inside = fold.querySelector(".pass-in[hx-get]"); // shown as it was until it is loaded again
    if (inside && kept.inside.has(id)) inside.innerHTML = kept.inside.get(id);
  }
  if (kept.focus) document.querySelector(`#live ${kept.focus}`)?.focus({ preventScroll: true });
});

document.addEventListener("htmx:afterSettle", () => {
  for (const id of kept.inside.keys()) document.getElementById(id)?.dispatchEvent(new Event("toggle"));
  kept.inside.clear();
});

const setOffline = (offline) => { const note = document.getElementById("offline"); if (note) note.hidden = !offline; };
for (const name of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) document.addEventListener(name, () => setOffline(true));
document.addEventListener("htmx:afterOnLoad", () => setOffline(false));

// What a person opened or closed stays so.
document.addEventListener("click", (event) => {
  const summary = event.target.closest("summary");
  if (summary) summary.parentElement.dataset.touched = "1";
  const copy = event.target.closest("[data-copy]");
  if (copy) copyText(copy);
});

function copyText(button) {
  const source = document.getElementById(button.dataset.copy);
  getSelection().selectAllChildren(source);
  document.execCommand("copy"); // works without HTTPS, unlike navigator.clipboard
  getSelection().removeAllRanges();
  button.querySelector("span").textContent = button.dataset.copied;
}

// A link to something folded away opens it.
function reveal() {
  const id = decodeURIComponent(location.hash.slice(1));
  const target = id && document.getElementById(id);
  if (!target) return;
  for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) {
    fold.open = true;
    fold.dataset.touched = "1";
  }
  target.scrollIntoView();
}
addEventListener("hashchange", reveal);
document.addEventListener("DOMContentLoaded", () => {
  reveal();
  document.querySelector("[data-select]")?.select();
});

// Where the address names a place, browsers go there and leave the field that asks for the focus.
addEventListener("load", () => {
  if (location.hash) setTimeout(() => document.querySelector("main [autofocus]")?.focus({ preventScroll: true }));
});

// The menu closes when somebody goes elsewhere, and on Escape.
document.addEventListener("click", (event) => {
  const menu = document.querySelector(".menu[open]");
  if (menu && !menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.querySelector(".menu[open]");
  if (menu) { menu.open = false; menu.querySelector("summary").focus(); }
});

// What somebody was about to do folds away on Escape.
document.addEventListener("keydown", (event) => {
  const fold = event.key === "Escape" && event.target.closest("details.decide[open]");
  if (fold) { fold.open = false; fold.querySelector("summary").focus(); }
});

// “/” goes to the search, as a scanner's prefix may.
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select")) return;
  const field = document.getElementById("q");
  if (field) { event.preventDefault(); field.focus(); field.select(); }
});

// Running clocks count down by the server's time: the difference is taken once, and anew only when it is off, so that
// the figures do not jump when a part is loaded again.
let ahead = null; // milliseconds by which this computer's clock is ahead of the server's
function tick() {
  const part = document.querySelector("[data-now]");
  if (!part) return;
  const measured = Date.now() - Number(part.dataset.now) * 1000;
  if (ahead === null || (part.dataset.measured !== "1" && Math.abs(measured - ahead) > 3000)) ahead = measured;
  part.dataset.measured = "1";
  const now = Date.now() - ahead;
  for (const text of part.querySelectorAll("[data-countdown]")) {
    const left = Number(text.dataset.countdown) * 1000 - now;
    const said = (left < 0 ? text.dataset.over : text.dataset.left).replace("{time}", inWords(Math.abs(left)));
    if (text.textContent !== said) text.textContent = said;
  }
  for (const bar of part.querySelectorAll("[data-until]")) {
    const until = Number(bar.dataset.until) * 1000;
    const share = (until - now) / (until - Number(bar.dataset.from) * 1000);
    bar.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  }
}
function inWords(span) {
  const seconds = Math.floor(span / 1000), two = (number) => String(number).padStart(2, "0");
  if (seconds >= 86400) return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
  if (seconds >= 3600) return `${Math.floor(seconds / 3600)} h ${two(Math.floor((seconds % 3600) / 60))} min`;
  return `${Math.floor(seconds / 60)}:${two(seconds % 60)} min`;
}
setInterval(tick, 1000);
document.addEventListener("DOMContentLoaded", tick);
document.addEventListener("htmx:afterSwap", tick);

// On paper every pass is open. What was not loaded yet is loaded before the page is laid out, hence at once.
addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll("details.pass")) {
    if (!fold.open) fold.dataset.printed = "1";
    const inside = fold.querySelector(".pass-in[hx-get]");
    if (inside) {
      const asked = new XMLHttpRequest();
      asked.open("GET", inside.getAttribute("hx-get"), false);
      asked.setRequestHeader("HX-Request", "true");
      try { asked.send(); } catch { continue; }
      if (asked.status === 200) inside.outerHTML = asked.responseText;
    }
    fold.open = true;
  }
});
addEventListener("afterprint", () => {
  for (const fold of document.querySelectorAll("details.pass[data-printed]")) { delete fold.dataset.printed; fold.open = false; }
});

// Print the page; ← and → turn to the page before and after, unless somebody types or moves through a table.
document.addEventListener("click", (event) => { if (event.target.closest("[data-print]")) window.print(); });
document.addEventListener("keydown", (event) => {
  const rel = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
  if (!rel || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
  if (/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName)) return;
  document.querySelector(`main a[rel=${rel}]`)?.click();
});

// A photo that was taken is sent at once; without this script there is a button.
document.addEventListener("change", (event) => {
  const form = event.target.closest?.("form[data-attach]");
  if (!form || event.target.type !== "file" || !event.target.files.length) return;
  const note = form.querySelector("[data-sending]");
  note.textContent = note.dataset.sending;
  form.requestSubmit();
});
