"use strict";
// The steps of a route: chosen, ordered, and what is set for each of them. The form sends all of it as JSON in one field,
// empty while nothing was changed. What counts where nothing is set comes with the page, or is asked for by operation.

(() => {
const root = document.getElementById("route-editor");
if (!root) return;
const data = JSON.parse(document.getElementById("route-editor-data").textContent);
const field = document.getElementById("id_steps");
const asSaved = document.getElementById("route-steps-as-saved");
const FIELDS = ["stationType", "stationGroupCode", "allowedStationCodes", "requiresFAI", "retestLimit", "reentryLimit", "isOptional", "requiresQualification", "dataSpecNames", "workInstructions"];
const MAY_BE_NONE = ["dataSpecNames", "workInstructions"]; // lists of which an empty one says something
const { words } = data;
let keys = 0; // names of steps on this page

const say = (name, values = {}) => words[name].replace(/\{(\w+)\}/g, (_all, key) => values[key] ?? "");

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "checked" || name === "value") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  if (/^(INPUT|SELECT|BUTTON)$/.test(node.tagName)) node.setAttribute("form", "no-form"); // only the one field is sent
  if (tag === "button" && !attributes.type) node.type = "button";
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

// --- the steps ---------------------------------------------------------------------------------------------

const described = new Map(data.steps.map((step) => [step.id, step]));
let steps = data.steps.map((step) => toStep(step));
let removed = [];

function toStep(step) {
  return { key: `s${++keys}`, isOpen: false, ...step, set: { ...step.set } };
}

// What was typed before the form came back: steps by their ids, with the rest as the page describes it.
function restore(rows) {
  const known = (row) => row.id !== null && described.get(row.id);
  steps = rows.map((row) => {
    const base = known(row) || { id: null, problems: [], specs: [], inherited: null, mapping: null, operationName: "" };
    const step = toStep({ ...base, stepNo: row.stepNo, operationCode: row.operationCode ?? "", set: row.set ?? {} });
    if (!known(row)) step.id = null; // somebody else removed it meanwhile: saved again, it is a new one
    if (step.operationCode && base.operationCode !== step.operationCode) loadOperation(step, step.operationCode);
    return step;
  });
  const there = new Set(steps.map((step) => step.id));
  removed = data.steps.filter((step) => !there.has(step.id)).map((step) => toStep(step));
}

function changed() {
  field.value = JSON.stringify(steps.map((step) => ({
    id: step.id, stepNo: step.stepNo, operationCode: step.operationCode, set: step.set,
  })));
  status.textContent = say("unsaved");
  document.dispatchEvent(new CustomEvent("route-steps-changed"));
}

function renumber() {
  steps.forEach((step, index) => { step.stepNo = 10 * (index + 1); });
}

function restructure(focus) {
  renumber();
  changed();
  draw(focus);
}

function move(step, by) {
  const from = steps.indexOf(step), to = from + by;
  if (to < 0 || to >= steps.length) return;
  steps.splice(to, 0, ...steps.splice(from, 1));
  restructure(`${step.key}-${by < 0 ? "up" : "down"}`);
  announce(step);
}

function announce(step) { spoken.textContent = say("moved", { number: step.stepNo }); }

function add() {
  const step = toStep({
    id: null, stepNo: 0, operationCode: "", operationName: "", set: {}, inherited: null, specs: [], problems: [], mapping: null,
  });
  steps.push(step);
  restructure(`${step.key}-operation`);
}

function remove(step) {
  const at = steps.indexOf(step);
  steps.splice(at, 1);
  if (step.id !== null) removed.push(step);
  const next = steps[Math.min(at, steps.length - 1)];
  restructure(next ? `${next.key}-remove` : "add");
}

function keep(step) {
  removed.splice(removed.indexOf(step), 1);
  const place = steps.findIndex((other) => other.id !== null && described.get(other.id).stepNo > described.get(step.id).stepNo);
  steps.splice(place < 0 ? steps.length : place, 0, step);
  restructure(`${step.key}-remove`);
}

async function loadOperation(step, code) {
  const answer = await ask(`${data.urls.operation}?${new URLSearchParams({ code, route: data.route })}`);
  if (!answer || step.operationCode !== code) return;
  Object.assign(step, { operationName: answer.operationName, inherited: answer.inherited, specs: answer.specs });
  draw();
}

async function ask(address) {
  try {
    const answer = await fetch(address, { headers: { Accept: "application/json" }, credentials: "same-origin" });
    if (!answer.ok) throw new Error(String(answer.status));
    return await answer.json();
  } catch {
    spoken.textContent = say("offline");
    return null;
  }
}

// --- drawing -----------------------------------------------------------------------------------------------

const list = make("ol", { class: "rs-list" });
const below = make("div", { class: "rs-below" });
const status = make("p", { class: "help rs-status", role: "status" });
const spoken = make("p", { class: "visually-hidden", role: "status" });
const addButton = make("button", { class: "button rs-add", "data-focus": "add", onclick: add }, data.addWord);

function draw(focus) {
  const focused = focus ?? document.activeElement?.dataset?.focus;
  list.replaceChildren(...(steps.length ? steps.map(drawStep) : [make("li", { class: "help" }, say("noSteps"))]));
  drawBelow();
  if (focused) {
    const wanted = root.querySelector(`[data-focus="${CSS.escape(focused)}"]`);
    (wanted && !wanted.disabled ? wanted : root.querySelector(`[data-focus^="${focused.split("-")[0]}-"]:not(:disabled)`))?.focus();
  }
}

function drawStep(step, index) {
  const number = step.stepNo, first = index === 0, last = index === steps.length - 1;
  const tools = data.isFixed ? [] : [
    make("button", { class: "rs-tool", title: say("up", { number }), "aria-label": say("up", { number }), disabled: first, "data-focus": `${step.key}-up`, onclick: () => move(step, -1) }, "↑"),
    make("button", { class: "rs-tool", title: say("down", { number }), "aria-label": say("down", { number }), disabled: last, "data-focus": `${step.key}-down`, onclick: () => move(step, 1) }, "↓"),
    make("button", { class: "rs-tool", title: say("remove", { number }), "aria-label": say("remove", { number }), "data-focus": `${step.key}-remove`, onclick: () => remove(step) }, "×"),
  ];
  const grip = data.isFixed ? null : make("span", { class: "rs-grip", title: say("drag", { number }), "aria-hidden": "true", onpointerdown: (event) => drag(event, step) }, "⠿");
  const head = make("div", { class: "rs-head" }, grip, make("strong", { class: "rs-no" }, String(number)), drawOperation(step), make("span", { class: "rs-tools" }, tools));
  const card = make("li", { class: "rs-step", "data-key": step.key, "aria-label": say("step", { number }) }, head);
  if (!step.operationCode) card.append(make("p", { class: "rs-problem" }, say("chooseOperation")));
  for (const problem of step.problems) card.append(make("p", { class: "rs-problem" }, problem));
  if (step.inherited) card.append(drawHow(step));
  return card;
}

function drawOperation(step) {
  const shown = step.operationCode ? `${step.operationCode} ${step.operationName}`.trim() : "";
  if (data.isFixed) return make("span", { class: "rs-name" }, shown);
  return combobox({
    label: say("operationOf", { number: step.stepNo }), placeholder: say("findOperation"), focus: `${step.key}-operation`, shown,
    search: async (text) => options(await ask(`${data.urls.operations}?${new URLSearchParams({ search: text, pageSize: "30" })}`)),
    choose: (code) => {
      Object.assign(step, { operationCode: code, operationName: "" });
      changed();
      loadOperation(step, code);
    },
  });
}

const options = (answer) => (answer?.data?.items ?? []).map(({ code, name }) => ({ value: code, text: `${code} ${name}`, code }))
  .sort((one, other) => (one.code < other.code ? -1 : 1));

function saidOf(step, name) {
  const inherited = step.inherited[name];
  return name in step.set ? { shown: inWords(name, step.set[name]), from: say("here") } : inherited;
}

function inWords(name, value) {
  if (name === "stationType") return data.stationTypes.find((type) => type.value === value)?.label ?? value;
  if (name === "requiresFAI" || name === "requiresQualification") return say(value ? "required" : "notRequired");
  if (name === "isOptional") return say(value ? "yes" : "no");
  if (name === "retestLimit") return value ? String(value) : say("none");
  if (name === "reentryLimit") return String(value);
  if (name === "workInstructions") return value.map(({ title }) => title || say("noTitle")).join(", ") || say("none");
  if (Array.isArray(value)) return value.length ? value.join(", ") : say("none");
  return value;
}

function drawHow(step) {
  const facts = make("dl", { class: "rs-facts" });
  const fold = make("details", { class: "rs-how", ontoggle: () => { step.isOpen = fold.open; } },
    make("summary", { "data-focus": `${step.key}-how` }, say("how"), facts));
  fold.open = step.isOpen;
  const drawFacts = () => facts.replaceChildren(...[...FIELDS.map((name) => [name, saidOf(step, name)]), ["mapping", step.mapping]]
    .filter(([, said]) => said)
    .map(([name, said]) => make("div", { class: said.from === say("here") ? "is-here" : null }, make("dt", {}, say(name)), make("dd", {}, said.shown, " ", make("span", { class: "rs-from" }, said.from)))));
  const fields = make("div", { class: "rs-fields" });
  const redraw = () => { drawFacts(); fields.replaceChildren(...FIELDS.map((name) => drawField(step, name, () => { changed(); redraw(); refocus(); })), drawMapping(step)); };
  const refocus = () => { const wanted = redraw.focused; if (wanted) fields.querySelector(`[data-focus="${CSS.escape(wanted)}"]`)?.focus(); };
  fields.addEventListener("focusin", (event) => { redraw.focused = event.target.dataset.focus; });
  redraw();
  fold.append(fields);
  return fold;
}

function drawMapping(step) {
  const box = make("fieldset", { class: "rs-field" }, make("legend", {}, say("mapping")));
  if (!step.mapping) { box.append(make("p", { class: "help" }, say("mappingLater"))); return box; }
  const preview = new URLSearchParams({ route: data.route, step: step.stepNo });
  box.append(make("p", {}, `${step.mapping.shown} (${step.mapping.from}) `,
    make("a", { href: step.mapping.url }, say(step.mapping.isKnown ? "editMapping" : "newMapping")), " · ",
    make("a", { href: `${data.urls.preview}?${preview}` }, say("preview"))));
  return box;
}

// --- one field: inherited, or set here ---------------------------------------------------------------------

const EDITORS = { stationType: drawChoice, stationGroupCode: drawChoice, retestLimit: drawNumber, reentryLimit: drawNumber, allowedStationCodes: drawStations, dataSpecNames: drawSpecs, workInstructions: drawInstructions };

function drawField(step, name, done) {
  const id = `${step.key}-${name}`, inherited = step.inherited[name], isSet = name in step.set;
  const put = (value) => { if (value === undefined) delete step.set[name]; else step.set[name] = value; done(); };
  const mode = (key, text, isOn, value) => make("label", { class: "rs-mode" },
    make("input", { type: "radio", name: id, checked: isOn, "data-focus": `${id}-${key}`, onchange: () => put(value()) }), " ", text);
  const box = make("fieldset", { class: "rs-field" }, make("legend", {}, say(name)),
    mode("inherit", say("inherit", inherited), !isSet, () => undefined));
  if (name === "requiresFAI" || name === "requiresQualification") {
    box.append(mode("yes", say("required"), step.set[name] === true, () => true), mode("no", say("notRequired"), step.set[name] === false, () => false));
    return box;
  }
  if (name === "isOptional") {
    box.append(mode("yes", say("yes"), step.set[name] === true, () => true), mode("no", say("no"), step.set[name] === false, () => false));
    return box;
  }
  const isList = name === "allowedStationCodes" || MAY_BE_NONE.includes(name), mayBeNone = MAY_BE_NONE.includes(name);
  const chooses = step.chooses ??= new Set(); // lists that are chosen from, though they are empty now
  const isNone = mayBeNone && isSet && !step.set[name].length && !chooses.has(name);
  box.append(mode("here", say(isList ? "exactly" : "setHere"), isSet && !isNone, () => { chooses.add(name); return beginWith(name, inherited.value); }));
  if (isSet && !isNone) box.append(make("div", { class: "rs-value" }, EDITORS[name](step, name, put, id)));
  if (mayBeNone) box.append(mode("none", say("noSpecs"), isNone, () => { chooses.delete(name); return []; }));
  return box;
}

function beginWith(name, value) {
  if (name === "stationType") return value || data.stationTypes[0].value;
  if (name === "workInstructions") return value.map((each) => ({ ...each }));
  if (name === "stationGroupCode") return value ?? data.groups[0]?.code ?? undefined;
  return value ?? (name === "retestLimit" ? 0 : []);
}

function drawChoice(step, name, put, id) {
  const offered = name === "stationType"
    ? data.stationTypes.map(({ value, label }) => [value, label])
    : data.groups.map(({ code, name: text }) => [code, `${code} ${text}`]);
  return make("select", { "aria-label": say(name), "data-focus": `${id}-value`, onchange: (event) => put(event.target.value) },
    offered.map(([value, text]) => { const option = make("option", { value }, text); option.selected = value === step.set[name]; return option; }));
}

function drawNumber(step, name, put, id) {
  return make("input", {
    type: "number", min: "0", max: "32767", step: "1", value: step.set[name], "aria-label": say(name), "data-focus": `${id}-value`,
    onchange: (event) => put(event.target.value === "" ? 0 : Math.trunc(Number(event.target.value))),
  });
}

function drawStations(step, name, put, id) {
  const codes = step.set[name], type = saidValue(step, "stationType"), group = saidValue(step, "stationGroupCode");
  const chips = codes.map((code) => make("li", {}, code, " ", make("button", {
    class: "rs-chip", "aria-label": say("removeStation", { code }), title: say("removeStation", { code }), "data-focus": `${id}-${code}`,
    onclick: () => put(codes.filter((other) => other !== code)),
  }, "×")));
  const search = async (text) => {
    const asked = new URLSearchParams({ search: text, pageSize: "50" });
    if (type) asked.set("stationType", type);
    if (group) asked.set("groupCode", group);
    return options(await ask(`${data.urls.stations}?${asked}`)).filter(({ value }) => !codes.includes(value));
  };
  const values = { type: inWords("stationType", type), group };
  return make("div", {}, make("ul", { class: "rs-chips" }, chips),
    combobox({ label: say("findStation"), placeholder: say("findStation"), focus: `${id}-value`, shown: "", search, choose: (code) => put([...codes, code]) }),
    type ? make("p", { class: "help" }, say(group ? "offered" : "offeredOfType", values)) : null);
}

const saidValue = (step, name) => (name in step.set ? step.set[name] : step.inherited[name].value);

function drawSpecs(step, name, put, id) {
  const chosen = step.set[name], known = new Map(step.specs.map((spec) => [spec.name, spec]));
  const names = [...known.keys(), ...chosen.filter((one) => !known.has(one))]
    .filter((one) => chosen.includes(one) || known.get(one).active);
  if (!names.length) return make("p", { class: "help" }, say("noActiveSpecs"));
  const note = (one) => (!known.has(one) ? ` (${say("noSuchSpec")})` : known.get(one).active ? "" : ` (${say("notActive")})`);
  return make("ul", { class: "rs-specs" }, names.map((one) => make("li", {}, make("label", {},
    make("input", { type: "checkbox", checked: chosen.includes(one), "data-focus": `${id}-${one}`, onchange: (event) => put(event.target.checked ? [...chosen, one] : chosen.filter((other) => other !== one)) }),
    " ", one, note(one)))));
}

// --- instructions: links and files --------------------------------------------------------------------------

function drawInstructions(step, name, put, id) {
  const all = step.set[name], isFull = all.length >= data.largest.instructions;
  const rows = all.map((each, index) => drawInstruction(each, `${id}-${index}`, index + 1, () => put(all.filter((_each, at) => at !== index))));
  const note = make("p", { class: "help", role: "status" });
  const file = make("input", {
    type: "file", accept: "application/pdf,image/png,image/jpeg", class: "visually-hidden", id: `${id}-choose`, tabindex: "-1", "aria-hidden": "true",
    onchange: async () => { const sent = await sendFile(file.files[0], note); if (sent) put([...step.set[name], { title: sent.name.replace(/\.[^.]+$/, ""), fileId: sent.id }]); },
  });
  const tools = make("p", { class: "rs-adds" },
    make("button", { class: "button", disabled: isFull, "data-focus": `${id}-link`, onclick: () => put([...all, { title: "", url: "https://" }]) }, say("addLink")), " ",
    make("button", { class: "button", disabled: isFull, "data-focus": `${id}-file`, onclick: () => file.click() }, say("addFile")), file);
  return make("div", {}, make("ol", { class: "rs-instructions" }, rows), tools, note);
}

function drawInstruction(each, id, number, remove) {
  const field = (key, word, longest) => make("input", {
    type: "text", value: each[key], maxlength: longest, "aria-label": say(word, { number }), placeholder: say(word, { number }), "data-focus": `${id}-${key}`,
    onchange: (event) => { each[key] = event.target.value.trim(); changed(); }, // not drawn anew: one tabs to the next
  });
  const where = each.fileId ? make("a", { href: `/files/${each.fileId}/`, target: "_blank", rel: "noopener" }, say("instructionFile")) : field("url", "instructionUrl", "2000");
  return make("li", {}, field("title", "instructionTitle", "200"), " ", where, " ",
    make("button", { class: "rs-tool", title: say("removeInstruction", { number }), "aria-label": say("removeInstruction", { number }), "data-focus": `${id}-remove`, onclick: remove }, "×"));
}

async function sendFile(file, note) {
  if (!file) return null;
  note.textContent = say("sendingFile");
  const form = new FormData();
  form.append("file", file);
  try {
    const answer = await fetch(data.urls.files, {
      method: "POST", body: form, credentials: "same-origin", headers: { "X-CSRFToken": document.querySelector("[name=csrfmiddlewaretoken]").value },
    });
    const told = await answer.json();
    note.textContent = told.ok ? "" : told.error.message;
    return told.ok ? told.data : null;
  } catch {
    note.textContent = say("offline");
    return null;
  }
}

// --- a field that searches as one types (ARIA: combobox with a list) ----------------------------------------

function combobox({ label, placeholder, focus, shown, search, choose }) {
  const id = `rs-options-${focus}`;
  const options = make("ul", { class: "rs-options", role: "listbox", id, hidden: true });
  const input = make("input", {
    type: "text", role: "combobox", class: "rs-combobox", "aria-label": label, "aria-expanded": "false", "aria-controls": id, "aria-autocomplete": "list",
    autocomplete: "off", autocapitalize: "none", spellcheck: "false", placeholder, value: shown, "data-focus": focus, maxlength: "100",
  });
  let found = [], active = -1, asked = 0, timer = null;
  const close = () => { options.hidden = true; active = -1; input.setAttribute("aria-expanded", "false"); input.removeAttribute("aria-activedescendant"); };
  const take = (index) => { const { value, text } = found[index]; asked += 1; input.value = text; shown = text; close(); choose(value); };
  const mark = (index) => {
    active = index;
    [...options.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === index)));
    options.children[index]?.scrollIntoView({ block: "nearest" });
    if (index >= 0) input.setAttribute("aria-activedescendant", `${id}-${index}`);
  };
  const open = async (text) => {
    const turn = ++asked, answer = await search(text);
    if (turn !== asked || document.activeElement !== input) return;
    found = answer;
    options.replaceChildren(...(found.length
      ? found.map(({ text: said }, index) => make("li", { role: "option", id: `${id}-${index}`, "aria-selected": "false", onpointerdown: (event) => { event.preventDefault(); take(index); } }, said))
      : [make("li", { class: "help" }, say("nothingFound"))]));
    options.hidden = false;
    input.setAttribute("aria-expanded", "true");
    mark(found.length && text ? 0 : -1);
  };
  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => open(input.value.trim()), 150); });
  input.addEventListener("focus", () => input.select());
  input.addEventListener("click", () => { if (options.hidden) open(""); });
  input.addEventListener("blur", () => { clearTimeout(timer); asked += 1; close(); input.value = shown; });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (options.hidden) open("");
      else if (found.length) mark((active + (event.key === "ArrowDown" ? 1 : -1) + found.length) % found.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (!options.hidden && active >= 0) take(active);
    } else if (event.key === "Escape" && !options.hidden) {
      event.preventDefault();
      event.stopPropagation();
      asked += 1;
      close();
      input.value = shown;
    }
  });
  return make("span", { class: "rs-search" }, input, options);
}

// --- dragging, by mouse and by finger ----------------------------------------------------------------------

function drag(event, step) {
  if (event.button) return;
  event.preventDefault();
  const card = list.querySelector(`[data-key="${step.key}"]`), grip = event.currentTarget;
  grip.setPointerCapture(event.pointerId);
  card.classList.add("is-dragged");
  const follow = ({ clientY }) => {
    const others = [...list.children].filter((other) => other !== card);
    const after = others.find((other) => { const box = other.getBoundingClientRect(); return clientY < box.top + box.height / 2; });
    if (after !== card.nextElementSibling) list.insertBefore(card, after ?? null);
  };
  const drop = () => {
    grip.removeEventListener("pointermove", follow);
    card.classList.remove("is-dragged");
    const order = [...list.children].map((other) => other.dataset.key);
    if (order.join() === steps.map((other) => other.key).join()) return;
    steps.sort((one, other) => order.indexOf(one.key) - order.indexOf(other.key));
    restructure();
    announce(step);
  };
  grip.addEventListener("pointermove", follow);
  for (const end of ["pointerup", "pointercancel"]) grip.addEventListener(end, drop, { once: true });
}

// --- what goes, and what is left over ----------------------------------------------------------------------

function drawBelow() {
  const going = new Set(removed.map((step) => step.id));
  const textsOf = (step) => data.configs.filter(({ steps: of }) => of.includes(step.id) && of.every((id) => going.has(id))).map(({ text }) => text);
  const gone = removed.map((step) => {
    const number = described.get(step.id).stepNo, texts = textsOf(step);
    return make("li", {}, `${number} ${step.operationCode} ${step.operationName}`, texts.length ? `, ${say("setThere", { text: texts.join("; ") })}` : "", " ",
      make("button", { class: "button rs-keep", onclick: () => keep(step) }, say("keep", { number })));
  });
  const left = data.configs.filter(({ steps: of }) => !of.length)
    .map(({ stepNo, key, text }) => make("li", {}, stepNo === null ? say("leftKey", { key, text }) : say("left", { number: stepNo, text })));
  below.replaceChildren(...(gone.length ? [make("p", { class: "rs-problem" }, say("gone")), make("ul", {}, gone)] : []), ...(left.length ? [make("ul", { class: "help" }, left)] : []));
}

// --- begin -------------------------------------------------------------------------------------------------

root.append(list, ...(data.isFixed ? [] : [addButton]), below, status, spoken);
if (field.value && field.value !== "null") {
  try { restore(JSON.parse(field.value)); changed(); } catch { /* it could not be read by the server either */ }
}
asSaved.hidden = true;
root.hidden = false;
draw();
})();
