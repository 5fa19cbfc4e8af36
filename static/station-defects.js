"use strict";
// What is wrong with a unit that fails: codes picked by name, by a digit or by scan, each with its designators or how
// many there are. They are kept with the unit: `[{code, locations, quantity}]`, the last is the one that is named.

const stationDefects = {
  config: {},
  changed: () => {},

  say(name, parts) {
    return stationForm.say(name, parts);
  },
  find(code) {
    return this.config.codes.find((known) => known.code === code);
  },
  nameOf(code) {
    return this.find(code)?.name ?? code;
  },

  // --- what is named ---
  add(unit, code) {
    const there = unit.defects.findIndex((defect) => defect.code === code);
    const [defect] = there >= 0 ? unit.defects.splice(there, 1) : [{ code, locations: [], quantity: 1 }];
    unit.defects.push(defect);
  },
  // A designator as it is kept: what no label can print is no part of it.
  designator(text) {
    return text.replace(/\p{C}/gu, "").trim().toUpperCase().slice(0, this.config.longestLocation);
  },
  locate(unit, text) {
    const defect = unit.defects.at(-1), location = this.designator(text);
    if (location && !defect.locations.includes(location)) defect.locations.push(location);
    return location;
  },
  count(unit) {
    return unit.defects.reduce((sum, defect) => sum + Math.max(1, defect.locations.length), 0);
  },
  hasDefect(unit) {
    return unit.defects.some(({ code }) => this.find(code)?.isDefect ?? true);
  },
  body(unit) {
    return unit.defects.flatMap(({ code, locations, quantity }) => {
      if (locations.length > 1) return locations.map((location, place) => ({ code, location, ...(place === 0 && quantity > 1 ? { quantity } : {}) }));
      return [{ code, ...(locations.length ? { location: locations[0] } : {}), ...(quantity > 1 ? { quantity } : {}) }];
    });
  },
  mostUsed(unit) {
    const { mostUsed } = this.config, here = mostUsed[unit.operation?.code] ?? [];
    const elsewhere = Object.values(mostUsed).flat();
    return [...new Set([...here, ...elsewhere])].filter((code) => this.find(code)).slice(0, 9);
  },

  // --- drawing ---
  draw(unit) {
    const used = this.mostUsed(unit);
    document.getElementById("most-used").replaceChildren(...used.map((code, place) => this.tile(unit, this.find(code), place + 1)));
    document.getElementById("most-used").hidden = !used.length;
    document.getElementById("find-code").value = "";
    this.drawCodes(unit);
    this.drawNamed(unit);
  },
  drawCodes(unit) {
    const sought = document.getElementById("find-code").value.trim().toLowerCase(), all = document.getElementById("all-codes");
    const used = sought ? [] : this.mostUsed(unit);
    const found = this.config.codes.filter((known) => !used.includes(known.code) && `${known.code} ${known.name} ${known.above}`.toLowerCase().includes(sought));
    all.replaceChildren(...found.map((known) => this.tile(unit, known)));
    if (!found.length && sought) all.append(makeElement("p", { className: "quiet", textContent: this.say("no_code_found") }));
  },
  tile(unit, known, digit = null) {
    const tile = makeElement("button", { type: "button", className: "button station-tile" });
    if (digit) tile.append(makeElement("kbd", { textContent: digit }));
    const words = makeElement("span", { textContent: known.name });
    const small = [known.above, known.isDefect ? "" : this.say("indicator")].filter(Boolean).join(" · ");
    if (small) words.append(makeElement("small", { textContent: small }));
    tile.append(words);
    tile.dataset.code = known.code;
    tile.addEventListener("click", () => this.changed("add", known.code));
    return tile;
  },
  drawNamed(unit) {
    document.getElementById("named").replaceChildren(...unit.defects.map((defect, place) => this.named(unit, defect, place)).reverse());
    for (const tile of document.querySelectorAll("#defects [data-code]")) tile.classList.toggle("is-chosen", unit.defects.some(({ code }) => code === tile.dataset.code));
  },
  named(unit, defect, place) {
    const box = makeElement("div", { className: "station-named" }), head = makeElement("div", { className: "station-named-head" });
    head.append(makeElement("b", { textContent: this.nameOf(defect.code) }), makeElement("span", { className: "quiet is-code", textContent: defect.code }));
    head.append(this.remover(this.nameOf(defect.code), () => { unit.defects.splice(place, 1); }));
    box.append(head);
    if (defect.locations.length) box.append(this.places(defect));
    const row = makeElement("div", { className: "station-named-row" });
    row.append(this.where(unit, place));
    if (defect.locations.length < 2) row.append(this.quantity(defect));
    box.append(row);
    return box;
  },
  remover(name, remove) {
    const button = makeElement("button", { type: "button", className: "button is-quiet station-remove", textContent: "×" });
    button.setAttribute("aria-label", this.say("take_away", { name }));
    button.addEventListener("click", () => { remove(); this.changed("named"); });
    return button;
  },
  places(defect) {
    const list = makeElement("ul", { className: "plain station-places" });
    for (const [place, location] of defect.locations.entries()) {
      const several = place === 0 && defect.quantity > 1 && defect.locations.length > 1 ? ` ×${defect.quantity}` : "";
      const item = makeElement("li", { className: "is-code", textContent: location + several });
      item.append(this.remover(location, () => { defect.locations = defect.locations.filter((each) => each !== location); }));
      list.append(item);
    }
    return list;
  },
  where(unit, place) {
    const id = `where-${place}`, box = makeElement("div"), field = makeElement("input", { type: "text", id, className: "is-code", maxLength: this.config.longestLocation, autocomplete: "off", spellcheck: false, enterKeyHint: "done" });
    field.setAttribute("autocapitalize", "characters");
    field.dataset.takesScans = "text";
    field.dataset.where = place;
    field.placeholder = "R12";
    box.append(makeElement("label", { htmlFor: id, textContent: this.say("where") }), field);
    field.addEventListener("keydown", (event) => {
      if (!["Enter", ",", ";", " "].includes(event.key) || event.ctrlKey) return;
      event.preventDefault();
      this.takeWhere(unit, field);
    });
    field.addEventListener("change", () => this.takeWhere(unit, field, false)); // what was typed and left counts as well
    return box;
  },
  takeWhere(unit, field, stays = true) {
    const defect = unit.defects[Number(field.dataset.where)];
    if (!field.value.trim() || !defect) return;
    for (const part of field.value.split(/[\s,;]+/)) {
      const location = this.designator(part);
      if (location && !defect.locations.includes(location)) defect.locations.push(location);
    }
    field.value = "";
    this.changed("named", stays ? `#where-${field.dataset.where}` : null);
  },
  quantity(defect) {
    const box = makeElement("div", { className: "station-quantity" }), said = makeElement("output", { textContent: defect.quantity });
    const step = (sign, by, words) => {
      const button = makeElement("button", { type: "button", className: "button", textContent: sign });
      button.setAttribute("aria-label", this.say(words));
      button.addEventListener("click", () => {
        defect.quantity = Math.min(this.config.largestQuantity, Math.max(1, defect.quantity + by));
        said.textContent = defect.quantity;
        this.changed("quantity");
      });
      return button;
    };
    const row = makeElement("div", { className: "station-stepper" });
    row.append(step("−", -1, "fewer"), said, step("+", 1, "more"));
    box.append(makeElement("span", { className: "label", textContent: this.say("quantity") }), row);
    return box;
  },
};
