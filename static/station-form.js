"use strict";
// The values of a unit in work: fields made of the frozen specs, judged while they are typed (`judge-number.js`), and
// read back as the interface takes them. What was typed is kept with the unit as text, not in the fields.

const stationForm = {
  words: {},

  say(name, parts = {}) {
    return this.words[name].replace(/\{(\w+)\}/g, (_whole, key) => parts[key] ?? "").replace(/\s+/g, " ").trim();
  },

  // --- drawing ---
  draw(form, unit) {
    const typed = (unit.specs ?? []).filter((spec) => spec.method !== "AUTO"), others = (unit.specs ?? []).filter((spec) => spec.method === "AUTO");
    form.replaceChildren(...typed.map((spec, place) => this.field(spec, `value-${place}`, unit)));
    if (!typed.length) form.append(makeElement("p", { className: "quiet", textContent: this.say("no_values") }));
    if (others.length) form.append(this.fold(others, typed.length, unit));
    for (const field of form.querySelectorAll("input[data-judge]")) this.judge(field);
  },
  fold(specs, first, unit) {
    const fold = makeElement("details", { className: "station-fold" });
    fold.append(makeElement("summary", { className: "button is-quiet", textContent: this.say("by_machine") }));
    fold.append(...specs.map((spec, place) => this.field(spec, `value-${first + place}`, unit)));
    fold.open = specs.some((spec) => unit.typed[spec.name]);
    return fold;
  },
  field(spec, id, unit) {
    const isChoice = spec.dataType === "BOOLEAN";
    const box = makeElement(isChoice ? "fieldset" : "div", { className: "station-value" });
    box.dataset.spec = spec.name;
    const name = makeElement(isChoice ? "legend" : "label", isChoice ? {} : { htmlFor: id });
    name.append(spec.name, makeElement("span", { className: "quiet", textContent: this.about(spec) }));
    box.append(name, ...(isChoice ? [this.choice(spec, id, unit)] : [this.input(spec, id, unit)]));
    if (spec.dataType === "NUMBER") box.append(this.judged(id));
    box.append(makeElement("p", { className: "field-problem", id: `${id}-problem`, hidden: true }));
    return box;
  },
  about(spec) {
    const parts = [this.limits(spec)];
    if (spec.limits.target !== null) parts.push(this.say("target", { target: spec.limits.target, unit: spec.limits.unit }));
    if (this.isNeeded(spec)) parts.push(this.say("needed"));
    return parts.filter(Boolean).map((part) => ` ${part}`).join(" ·");
  },
  limits({ limits: { lsl, usl, unit } }) {
    if (lsl !== null && usl !== null) return this.say("limits_from_to", { low: lsl, high: usl, unit });
    if (lsl !== null) return this.say("limits_from", { low: lsl, unit });
    return usl !== null ? this.say("limits_to", { high: usl, unit }) : unit;
  },
  input(spec, id, unit) {
    const isJson = spec.dataType === "JSON";
    const field = makeElement(isJson ? "textarea" : "input", { id, value: unit.typed[spec.name] ?? "", autocomplete: "off", spellcheck: false });
    if (!isJson) field.type = "text";
    field.setAttribute("autocapitalize", "none");
    field.setAttribute("aria-describedby", spec.dataType === "NUMBER" ? `${id}-judge ${id}-problem` : `${id}-problem`);
    field.dataset.name = spec.name;
    if (spec.dataType === "NUMBER") {
      field.inputMode = "decimal";
      field.enterKeyHint = "next";
      Object.assign(field.dataset, { judge: `${id}-judge`, lsl: spec.limits.lsl ?? "", usl: spec.limits.usl ?? "", alarmMin: spec.alarm.min ?? "", alarmMax: spec.alarm.max ?? "", alarmHolds: spec.alarm.action === "HOLD" ? "1" : "" });
    } else field.dataset.takesScans = "text";
    if (spec.dataType === "TEXT") field.maxLength = 100000;
    return field;
  },
  judged(id) {
    const said = makeElement("p", { id: `${id}-judge`, className: "judge-typed" });
    said.setAttribute("role", "status");
    Object.assign(said.dataset, { good: this.say("good"), bad: this.say("bad"), none: this.say("wrong_number") });
    return said;
  },
  judge(field) {
    judgeTyped(field);
    const said = document.getElementById(field.dataset.judge), number = this.number(field.value), { lsl, usl } = field.dataset;
    if (number === null) return;
    if (lsl === "" && usl === "") { said.textContent = ""; said.className = "judge-typed"; } // nothing judges it
    if (field.dataset.alarmHolds && this.isBeyond(number, field.dataset.alarmMin, field.dataset.alarmMax)) {
      said.textContent = [said.textContent, this.say("alarm")].filter(Boolean).join(", ");
      said.className = "judge-typed is-bad";
    }
  },
  choice(spec, id, unit) {
    const row = makeElement("div", { className: "station-choice" });
    for (const value of ["true", "false"]) {
      const label = makeElement("label", { className: "station-option" });
      const option = makeElement("input", { type: "radio", name: id, id: value === "true" ? id : `${id}-no`, value, checked: unit.typed[spec.name] === value });
      option.dataset.name = spec.name;
      label.append(option, makeElement("span", { textContent: this.say(value === "true" ? "yes" : "no") }));
      row.append(label);
    }
    return row;
  },

  drawInstructions(box, { instructions = [] }) {
    box.hidden = !instructions.length;
    box.replaceChildren(...instructions.map(({ title, address }) => this.instruction(title, address)));
  },
  instruction(title, address) {
    const link = makeElement("a", { href: address, className: "button", target: "_blank", rel: "noopener" });
    link.append(makeSymbol("copy"), makeElement("span", { textContent: title }));
    if (!address.startsWith("/files/")) return link;
    const picture = makeElement("img", { src: address, alt: "", loading: "lazy" });
    picture.addEventListener("error", () => picture.remove()); // a PDF is opened beside
    link.prepend(picture);
    return link;
  },

  // --- reading ---
  isNeeded(spec) {
    return spec.isRequired && spec.method !== "AUTO" && ["EACH_UNIT", "EVENT"].includes(spec.triggerType);
  },
  number(text) {
    text = text.trim();
    const number = NUMBER.test(text) ? Number(text.replace(",", ".")) : NaN;
    return Number.isFinite(number) ? number : null;
  },
  isBeyond(number, low, high) {
    return (low !== "" && low !== null && number < Number(low)) || (high !== "" && high !== null && number > Number(high));
  },
  // What a unit's typed values are: as the interface takes them, what is wrong with which, what a Pass lacks, whether
  // a key value fails the unit.
  read(unit) {
    const read = { data: [], wrong: [], missing: [], fails: false };
    for (const spec of unit.specs ?? []) {
      const text = unit.typed[spec.name] ?? "";
      if (!text.trim()) { if (this.isNeeded(spec)) read.missing.push(spec.name); continue; }
      const value = this.value(spec, text);
      if (value === null) { read.wrong.push(spec); continue; }
      read.data.push({ specName: spec.name, ...value });
      read.fails ||= spec.itemType === "KEY" && "valueNumber" in value && this.isBeyond(value.valueNumber, spec.limits.lsl, spec.limits.usl);
    }
    return read;
  },
  value(spec, text) {
    if (spec.dataType === "TEXT") return { valueText: text };
    if (spec.dataType === "BOOLEAN") return { valueBoolean: text === "true" };
    if (spec.dataType === "JSON") {
      try { const valueJson = JSON.parse(text); return valueJson === null ? null : { valueJson }; } catch { return null; }
    }
    const valueNumber = this.number(text);
    return valueNumber === null ? null : { valueNumber };
  },

  // --- problems beside their fields ---
  show(form, { wrong, missing }) {
    this.clear(form);
    const told = new Map([...missing.map((name) => [name, this.say("missing_beside")]), ...wrong.map((spec) => [spec.name, this.say(spec.dataType === "JSON" ? "wrong_json" : "wrong_number")])]);
    let first = null;
    for (const box of form.querySelectorAll("[data-spec]")) {
      if (!told.has(box.dataset.spec)) continue;
      const said = box.querySelector(".field-problem"), field = box.querySelector("input, textarea");
      said.textContent = told.get(box.dataset.spec);
      said.hidden = Boolean(field.dataset.judge) && !missing.includes(box.dataset.spec); // then it is said already
      field.setAttribute("aria-invalid", "true");
      if (box.closest("details")) box.closest("details").open = true;
      first ??= field;
    }
    first?.focus();
  },
  clear(form, name = null) {
    for (const box of form.querySelectorAll("[data-spec]")) {
      if (name !== null && box.dataset.spec !== name) continue;
      box.querySelector(".field-problem").hidden = true;
      for (const field of box.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
    }
  },
};

function makeElement(name, properties = {}) {
  return Object.assign(document.createElement(name), properties);
}

function makeSymbol(name) {
  const symbol = document.createElementNS("http://www.w3.org/2000/svg", "svg"), use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  symbol.setAttribute("class", "sym");
  symbol.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#s-${name}`);
  symbol.append(use);
  return symbol;
}
