"use strict";
// The editor of a mapping: keys and functions are completed, kept events and presets are taken, faults are gone to.
// What is typed is tried by htmx.

const mapping = document.getElementById("mapping");
const eventText = document.getElementById("event");
const completions = document.getElementById("completions");
const words = JSON.parse(document.getElementById("mapping-words").textContent);
let offered = null; // {from, to, names, chosen}

// --- completion

// What stands before the caret: a key that is begun, or a name within a path.
function placeOfCaret() {
  const before = mapping.value.slice(0, mapping.selectionStart);
  const key = /[{,]\s*"([A-Za-z]*)$/.exec(before);
  if (key) return { begun: key[1], words: words.keys, ends: '": ' };
  const path = /"(?:[A-Za-z]*Path|path|when)"\s*:\s*"(?:[^"\\]|\\.)*?([a-z_]{1,20})$/.exec(before.split("\n").pop());
  const isMember = path && /[.\w]$/.test(before.slice(0, before.length - path[1].length));
  return path && !isMember ? { begun: path[1], words: words.functions, ends: "(" } : null;
}

function offer() {
  const place = mapping.selectionStart === mapping.selectionEnd ? placeOfCaret() : null;
  const names = place ? Object.keys(place.words).filter((name) => name.startsWith(place.begun) && name !== place.begun) : [];
  if (!names.length) return close();
  offered = { ...place, names, chosen: 0 };
  completions.replaceChildren(...names.map((name, index) => {
    const option = document.createElement("li");
    option.id = `completion-${index}`;
    option.role = "option";
    const code = document.createElement("code"), about = document.createElement("span");
    code.textContent = name;
    about.textContent = place.words[name];
    about.className = "quiet";
    option.append(code, about);
    option.addEventListener("mousedown", (event) => { event.preventDefault(); take(index); });
    return option;
  }));
  completions.hidden = false;
  choose(0);
}

function choose(index) {
  offered.chosen = (index + offered.names.length) % offered.names.length;
  [...completions.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === offered.chosen)));
  const option = completions.children[offered.chosen];
  completions.scrollTop = Math.min(option.offsetTop, Math.max(completions.scrollTop, option.offsetTop + option.offsetHeight - completions.clientHeight));
  mapping.setAttribute("aria-activedescendant", option.id);
}

function close() {
  offered = null;
  completions.hidden = true;
  mapping.removeAttribute("aria-activedescendant");
}

function take(index) {
  const { begun, ends, names } = offered, caret = mapping.selectionStart;
  const isClosed = ends !== "(" && mapping.value[caret] === '"';
  close();
  mapping.setRangeText(names[index].slice(begun.length) + (isClosed ? "" : ends), caret, caret, "end");
  mapping.dispatchEvent(new Event("input", { bubbles: true }));
  close();
}

mapping.addEventListener("input", offer);
mapping.addEventListener("blur", close);
mapping.addEventListener("keydown", (event) => {
  if (!offered) return;
  const acts = {
    ArrowDown: () => choose(offered.chosen + 1),
    ArrowUp: () => choose(offered.chosen - 1),
    Enter: () => take(offered.chosen),
    Escape: close,
  };
  if (acts[event.key]) { event.preventDefault(); acts[event.key](); }
});

// --- what is taken

async function fetchText(query) {
  const answer = await fetch(`${document.getElementById("editor").dataset.eventAddress}?${query}`, { headers: { Accept: "application/json" } });
  return answer.ok ? answer.json() : null;
}

function put(field, text) {
  field.value = text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  close();
}

async function takeEvent(query) {
  const found = query && await fetchText(query);
  if (found) put(eventText, found.event);
}

document.getElementById("take-event").addEventListener("change", (event) => takeEvent(event.target.value));
document.getElementById("take-preset").addEventListener("click", async () => {
  const chosen = document.getElementById("from-preset").value;
  const found = chosen && await fetchText(new URLSearchParams({ preset: chosen }));
  if (!found) return;
  put(mapping, found.mapping);
  put(eventText, found.event);
  document.getElementById("of-preset").value = chosen;
  document.getElementById("preset-examples").hidden = false;
  document.getElementById("keep-preset").checked = true;
});

document.addEventListener("click", (event) => {
  const taken = event.target.closest("[data-take]");
  if (taken) takeEvent(taken.dataset.take);
  const fault = event.target.closest("[data-line]");
  if (fault) goTo(document.getElementById(fault.dataset.of), Number(fault.dataset.line));
});

// Select a line of a text, and bring it into view.
function goTo(field, line) {
  const lines = field.value.split("\n"), start = lines.slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
  field.focus();
  field.setSelectionRange(start, start + lines[line - 1].length);
  field.scrollTop = Math.max(0, (line - 4) * parseFloat(getComputedStyle(field).lineHeight));
}
