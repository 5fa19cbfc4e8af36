"use strict";
// A list of what a scanner reads, one after the other, in place of a field of lines. The field keeps what is sent; what
// was refused is said beside each.

function makeScanList(box) {
  if (box.dataset.made) return;
  box.dataset.made = "1";
  const kept = box.querySelector("textarea"), label = box.querySelector("label"), words = box.dataset;
  const isRequired = kept.required;
  const field = document.createElement("input");
  Object.assign(field, { id: kept.id + "-scan", type: "text", className: "is-code", autocomplete: "off", autocapitalize: "none", spellcheck: false, maxLength: 7089 });
  const described = kept.getAttribute("aria-describedby");
  if (described) field.setAttribute("aria-describedby", described);
  const add = makeButton(words.add), list = document.createElement("ol"), said = document.createElement("p"), drop = makeButton(words.dropFaults);
  const row = document.createElement("div");
  row.className = "search-row";
  row.append(field, add);
  list.className = "scanned";
  said.className = "quiet";
  said.setAttribute("role", "status");
  label.htmlFor = field.id;
  kept.hidden = true;
  kept.required = false;
  kept.after(row, said, list, drop);

  const faults = new Map(), items = new Map(); // both by text
  for (const told of box.closest("form").querySelectorAll("[data-fault-of]")) faults.set(told.dataset.faultOf, told);
  for (const text of kept.value.split(/[\r\n]+/)) put(text);
  show();
  field.autofocus = kept.autofocus || faults.size > 0;
  kept.autofocus = false;

  add.addEventListener("click", () => { take(field.value); field.focus(); });
  drop.addEventListener("click", () => {
    for (const item of list.querySelectorAll(".is-fault")) forget(item);
    show();
    field.focus();
  });
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault(); // that sends nothing yet
    take(field.value);
  });
  field.addEventListener("scan-into", (event) => {
    event.preventDefault();
    take(event.detail.text);
    field.focus();
  });
  field.addEventListener("paste", (event) => {
    const pasted = event.clipboardData.getData("text");
    if (!/[\r\n]/.test(pasted.trim())) return;
    event.preventDefault();
    for (const text of pasted.split(/[\r\n]+/)) put(text);
    show();
  });
  box.closest("form").addEventListener("submit", () => { put(field.value); show(); });

  function take(text) {
    const isNew = put(text);
    field.value = "";
    show(isNew === false ? words.again.replace("{sn}", text.trim()) : "");
  }
  function put(text) {
    text = text.trim();
    if (!text) return null;
    const known = items.get(text);
    if (known) { list.prepend(known); return false; }
    const item = document.createElement("li"), name = document.createElement("span"), remove = makeButton("×");
    item.dataset.text = text;
    name.className = "sn";
    name.textContent = text;
    remove.className = "button is-quiet";
    remove.setAttribute("aria-label", words.remove.replace("{sn}", text));
    remove.addEventListener("click", () => { forget(item); show(); field.focus(); });
    item.append(name, remove);
    const told = faults.get(text);
    if (told) {
      const why = document.createElement("span");
      why.className = "scan-fault";
      why.textContent = told.dataset.why;
      name.after(why);
      item.className = "is-fault";
      told.hidden = true;
    }
    list.prepend(item); // the latest stands where the eye is
    items.set(text, item);
    return true;
  }
  function forget(item) {
    items.delete(item.dataset.text);
    item.remove();
  }
  function show(note = "") {
    const texts = [...list.children].map((item) => item.dataset.text).reverse();
    kept.value = texts.join("\n");
    field.required = isRequired && !texts.length;
    drop.hidden = !list.querySelector(".is-fault");
    said.textContent = [note, texts.length ? words.count.replace("{count}", texts.length) : words.none].filter(Boolean).join(" ");
  }
}

function makeButton(text) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "button", textContent: text });
  return button;
}

function makeScanLists() {
  for (const box of document.querySelectorAll("[data-scan-list]")) makeScanList(box);
}

document.addEventListener("DOMContentLoaded", makeScanLists);
document.addEventListener("htmx:afterSwap", makeScanLists);
