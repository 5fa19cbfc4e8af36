"use strict";
// The page of a station: one state at a time, scans and keys that move it, and what was typed for each unit in work,
// kept in this browser over reloads. What is recorded goes out as entries (`entries.js`), which are kept until the server
// has answered; scans come from `scanner.js`.

{
  const config = JSON.parse(document.getElementById("station-config").textContent);
  const part = (id) => document.getElementById(id);
  const say = (name, parts) => stationForm.say(name, parts);
  const PATIENCE = 2500; // milliseconds after which work goes on without an answer
  const BOUNCE = 700; // milliseconds in which the same press is one
  const RESTS = 4000; // milliseconds after a key in which the page asks nothing
  const MOST_CHIPS = 12;
  stationForm.words = config.words;
  stationDefects.config = config;
  stationState.config = config;

  const store = openStationKept(config.station), { kept, chosenUnit, findUnit, fresh, drop } = store;
  let told = store.readTold(); // what the state says while no unit is chosen
  let refused = []; // entries that were refused, until somebody settles them
  let isOffline = false, isDeaf = false, waiting = 0, drawn = null, typedAt = 0, failPressedAt = 0, askedAt = 0;
  let resolving = null; // while it is asked what was scanned into a field
  let stopped = null; // why entries are not sent (`entries.status()`)
  const finished = new Map(); // when units were recorded here, which the list of what is inside may not know yet
  const sending = new Set(); // keys of units whose end is being kept as an entry
  const early = new Map(); // answers that came before the entry's id was known here

  const keep = () => store.keep(told), sync = store.sync;
  const drawnUnit = () => fresh({ key: part("values").dataset.unit }); // what is typed is meant for it, whichever is chosen
  const insideNow = (which = "sns") => JSON.parse(part("inside-all")?.dataset[which] ?? "[]");
  const makeUnit = (sn) => ({ key: `${Date.now()}-${Math.random()}`, sn, label: sn, labels: [sn], state: "asking", entryId: null, specs: null, typed: {}, defects: [], picking: false });

  // --- what is shown ------------------------------------------------------------------------------------------

  function showState() {
    const unit = chosenUnit(), hasUnits = kept.units.length > 0;
    if (!config.mayWork) stationState.looking();
    else if (unit) stationState.unit(unit, unit.isHeld || insideNow("held").includes(unit.sn));
    else if (told?.state === "refused") stationState.refused(told, [...(kept.sent[told.entryId] ? [makeButton("back_to_work", "rework", () => openAgain(told.entryId))] : []), makeButton(told.kind === "track-in" ? "understood" : "later", "next", cancel)]);
    else if (told) stationState[told.state](told, hasUnits, told.state === "done" && told.answer.result === "FAIL" ? [makeButton("add_photos", "copy", showPhotos)] : []);
    else stationState.scan(hasUnits);
  }

  // Photos of the defects that were recorded last, below the state: whoever scans goes on.
  async function showPhotos() {
    const { trackId } = told.answer;
    await htmx.ajax("GET", `/station-photos/${trackId}/`, { target: "#photos", swap: "innerHTML" });
    if (told?.answer?.trackId !== trackId) return;
    part("photos").hidden = false;
    for (const back of part("photos").querySelectorAll("[name=back]")) back.value = location.pathname;
    document.getElementById("photos-head")?.focus();
  }
  function hidePhotos() {
    if (told?.state === "done" && !chosenUnit()) return;
    part("photos").hidden = true;
    part("photos").replaceChildren();
  }

  function makeButton(words, symbol, act) {
    const button = makeElement("button", { type: "button", className: "button" });
    button.append(makeSymbol(symbol), makeElement("span", { textContent: say(words) }));
    button.addEventListener("click", act);
    return button;
  }

  // What is said beside the state, until the next thing happens.
  function note(words, parts = {}, tone = "said") {
    const said = part("said");
    said.textContent = say(words, parts);
    said.dataset.words = words;
    said.hidden = false;
    said.className = `station-said is-${tone}`;
    stationTones.play(tone === "bad" ? "bad" : "said");
  }
  function hush() {
    part("said").hidden = true;
    part("said").dataset.words = "";
  }
  // What a Pass lacks is said until it is typed.
  function hushTyped({ wrong, missing }) {
    const { words } = part("said").dataset;
    if ((words === "missing" && !missing.length) || (words === "wrong_beside" && !wrong.length)) hush();
  }

  function draw() {
    keep();
    showState();
    if (!config.mayWork) return;
    hidePhotos();
    drawChips();
    drawWork();
    drawRefused();
    drawWaiting();
  }

  function drawWork() {
    const unit = chosenUnit(), isOpen = unit !== null && unit.state !== "asking";
    part("work").hidden = !isOpen;
    part("scan-form").hidden = isOpen;
    if (!isOpen) { drawn = null; if (unit === null) focusScan(); return; }
    const mark = `${store.turn()} ${unit.key} ${unit.state} ${JSON.stringify(unit.specs)}`;
    if (drawn !== mark) {
      const focused = part("values").contains(document.activeElement) ? document.activeElement.id : "";
      drawn = mark;
      part("values").dataset.unit = unit.key;
      stationForm.draw(part("values"), unit);
      stationForm.drawInstructions(part("instructions"), unit);
      if (unit.picking) stationDefects.draw(unit);
      else if (!focusAgain(focused)) focusValue();
    }
    part("defects").hidden = !unit.picking;
    drawFinish(unit);
  }

  function drawFinish(unit) {
    const { fails } = stationForm.read(unit), count = stationDefects.count(unit);
    part("fails").hidden = !fails;
    part("fails").querySelector("span").textContent = fails ? say("fails") : "";
    const words = !unit.picking ? say("entry_fail") : count === 1 ? say("fail_with_one") : count ? say("fail_with", { count }) : fails ? say("entry_fail") : say("fail_without");
    part("fail-words").textContent = words;
    part("pass").hidden = unit.picking;
    part("work").classList.toggle("is-picking", unit.picking);
  }

  function drawChips() {
    const own = kept.units.map(({ sn }) => sn), others = insideNow().filter((sn) => !own.includes(sn) && !isSent(sn) && !(finished.get(sn) > askedAt));
    const chips = [...own, ...others].slice(0, Math.max(MOST_CHIPS, own.length)), chosen = chosenUnit()?.sn;
    part("chips").hidden = !chips.length || (chips.length === 1 && chosen === chips[0]);
    const shown = chips.map((sn) => makeChip(sn, sn === chosen));
    if (part("chips").textContent !== shown.map((chip) => chip.textContent).join("") || part("chips").dataset.chosen !== (chosen ?? "")) part("chips").replaceChildren(...shown);
    part("chips").dataset.chosen = chosen ?? "";
  }
  function makeChip(sn, isChosen) {
    const chip = makeElement("button", { type: "button", className: "button station-chip" });
    const unit = findUnit(sn), hasTyped = unit !== null && (Object.values(unit.typed).some(Boolean) || unit.defects.length > 0);
    chip.append(makeSymbol(isChosen ? "work" : "ahead"), makeElement("span", { className: "is-code", textContent: sn }));
    if (hasTyped) chip.append(makeElement("span", { className: "station-dot", textContent: "✎" }));
    chip.setAttribute("aria-pressed", isChosen);
    chip.addEventListener("click", () => takeUnit(sn));
    return chip;
  }
  const isSent = (sn) => Object.values(kept.sent).some((unit) => unit.sn === sn);

  function drawWaiting() {
    const box = part("offline-waiting");
    box.hidden = !isOffline && !isDeaf && !waiting;
    if (box.hidden) return;
    const why = stopped?.reason === "SIGN_IN" ? say("sign_in", { why: stopped.error?.message ?? "" }) : isOffline || isDeaf ? say("offline") : "";
    const parts = [why, waiting === 1 ? say("waiting_one") : waiting ? say("waiting", { count: waiting }) : ""];
    box.querySelector("span").textContent = parts.filter(Boolean).join(" ");
  }

  function drawRefused() {
    const shown = refused.filter((entry) => chosenUnit() || told?.entryId !== entry.entryId);
    part("refused").hidden = !shown.length;
    part("refused-list").replaceChildren(...shown.map(makeRefused));
  }
  function makeRefused(entry) {
    const item = makeElement("li", { className: "note tone-bad" }), words = makeElement("div");
    const at = new Date(entry.at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false, timeZone: config.zone });
    const what = entry.kind === "track-in" ? say("entry_in") : say(entry.body?.result === "FAIL" ? "entry_fail" : "entry_pass");
    const head = makeElement("p");
    head.append(makeElement("b", { className: "is-code", textContent: entry.sn }), ` ${say("refused_at", { what, at, who: entry.operatorId ?? "" })}`);
    words.append(head, ...stationState.factsOf(entry.error).filter(Boolean).map((text) => makeElement("p", { textContent: text })));
    const acts = makeElement("div", { className: "station-refused-do" });
    if (kept.sent[entry.entryId]) acts.append(makeButton("back_to_work", "rework", () => openAgain(entry.entryId)));
    acts.append(makeButton("send_again", "next", () => entries.retry(entry.entryId)));
    acts.append(makeButton("settle", "pass", () => settle(entry.entryId)));
    item.append(makeSymbol("fail"), words, acts);
    return item;
  }

  function focusScan() {
    if (matchMedia("(pointer: coarse)").matches) return; // or a keyboard would cover half the tablet
    const focused = document.activeElement;
    if (!focused || focused === document.body || !focused.isConnected || part("work").contains(focused)) part("scan").focus();
  }
  // Whoever types goes on where the form is drawn anew, as when an answer comes late.
  function focusAgain(id) {
    const field = id && document.getElementById(id);
    if (!field) return false;
    field.focus();
    if (field.type === "text") field.setSelectionRange(field.value.length, field.value.length);
    return true;
  }
  function focusValue() {
    const first = [...part("values").querySelectorAll("input:not([type=radio]), textarea")].find((field) => !field.closest("details") && !field.value);
    if (first) first.focus();
    else if (document.activeElement === part("scan")) part("scan").blur();
  }

  // --- scans and commands ---------------------------------------------------------------------------------------

  // A text as it is compared: without the mark of its symbology and blank ends.
  const plain = (text) => text.replace(/^\s*\][A-Za-z][0-9A-Za-z]/, "").trim();

  function readCommand(text) {
    const { prefix, commands } = config;
    if (!plain(text).startsWith(prefix)) return null;
    const rest = plain(text).slice(prefix.length), [name] = rest.split("."), value = rest.slice(name.length + 1).trim();
    const command = commands.find((each) => each.name === name), { kind, takesValue } = command ?? {};
    return command && takesValue === Boolean(value) && (takesValue || rest === name) ? { kind, value } : { kind: "UNKNOWN", value: plain(text) };
  }

  function takeScan({ text, field = null, takeBack = () => {} }) {
    sync();
    hush();
    if (!plain(text)) return;
    const command = readCommand(text);
    if (command) run(command);
    else if (field?.dataset.takesScans === "text") takeIntoField(text, field, takeBack);
    else takeUnit(text);
  }

  const RUN = {
    PASS: () => finish("PASS"),
    FAIL: () => pressFail(),
    CANCEL: () => cancel(),
    DEFECT: (code) => nameDefect(code),
    DESIGNATOR: (location) => nameDesignator(location),
    BADGE: (badge) => {
      if (part("sign-on-form")) document.dispatchEvent(new CustomEvent("badge-scanned", { detail: { badge } }));
      else note("no_terminal", {}, "bad");
    },
    UNKNOWN: (text) => note("unknown_command", { text }, "bad"),
  };
  function run({ kind, value }) {
    RUN[kind](value);
  }

  // Into a field that takes text goes what is no unit and no badge.
  function takeIntoField(text, field, takeBack) {
    takeBack(); // it is no value before it is known what it is
    const unit = drawnUnit(), asked = Promise.resolve(resolving).then(() => putIntoField(text, field, unit)).finally(() => { if (resolving === asked) resolving = null; });
    resolving = asked;
  }
  async function putIntoField(text, scanned, of) {
    const isUnit = findUnit(plain(text)) !== null || insideNow().includes(plain(text)), kind = isUnit ? "UNIT" : await resolve(text);
    if (kind === "UNIT") return takeUnit(text);
    if (kind === "BADGE") return run({ kind: "BADGE", value: plain(text) });
    const unit = of && fresh(of), field = unit && drawnAgain(scanned, unit);
    if (!field) return note("nothing_in_work", {}, "bad");
    field.value = plain(text);
    field.dispatchEvent(new Event("input", { bubbles: true }));
    if (field.dataset.where !== undefined) stationDefects.takeWhere(unit, field);
    else goOn(field);
    const name = field.dataset.name ?? say("where");
    if (kind === null) note("ambiguous_scan", { name });
    else note("scan_put", { name });
  }

  // A field of a unit as it is drawn now: answers that come late draw it anew.
  function drawnAgain(field, unit) {
    if (field.isConnected) return field;
    const now = document.getElementById(field.id), isSame = drawnUnit() === unit && now?.dataset.name === field.dataset.name;
    return isSame ? now : null;
  }

  // Which kind of thing a text is; null where nobody could be asked.
  async function resolve(text) {
    try {
      const answer = await Promise.race([scanner.resolve(text), new Promise((_done, fail) => setTimeout(fail, PATIENCE))]);
      return answer.data?.kind ?? "UNKNOWN";
    } catch {
      return null;
    }
  }

  // --- units ----------------------------------------------------------------------------------------------------

  // A scanned unit is chosen where it is in work; else it is taken in. What was typed for another stays with that.
  function takeUnit(text) {
    sync();
    hush();
    const sn = plain(text), known = findUnit(sn);
    if (known && known.key === kept.chosen) return note("again", { sn: known.sn });
    settleShown(sn);
    told = null;
    for (const old of document.querySelectorAll("main > .note[role]:not([id])")) old.remove(); // what was said of the unit before
    if (known) {
      kept.chosen = known.key;
      draw();
      return note("chosen", { sn: known.sn });
    }
    const reopened = refused.find((entry) => entry.kind === "track-out" && entry.sn === sn && kept.sent[entry.entryId]);
    if (reopened) return openAgain(reopened.entryId);
    const unit = makeUnit(sn);
    unit.label = text.trim();
    unit.labels.push(unit.label);
    kept.units.push(unit);
    kept.chosen = unit.key;
    draw();
    stationTones.play("taken");
    takeIn(unit);
  }

  // Keep an entry of a unit, by its serial number or, until that is known, by its label; null where the browser keeps
  // nothing: then nothing is sent.
  async function addEntry(unit, kind, body) {
    try {
      const sn = unit.answeredAt ? unit.sn : unit.label;
      return await entries.add({ stationCode: config.station, kind, sn, body, operatorId: config.user });
    } catch (error) {
      console.warn("An entry could not be kept.", error);
      note("not_kept", { sn: unit.sn }, "bad");
      return null;
    }
  }

  async function takeIn(unit) {
    const entryId = await addEntry(unit, "track-in", {});
    if (entryId === null) { drop(unit); return draw(); }
    sync();
    (fresh(unit) ?? unit).entryId = entryId;
    keep();
    replayEarly(entryId);
    if (isOffline) goOnUnchecked(unit);
    else setTimeout(() => goOnUnchecked(unit), PATIENCE);
  }

  // The server did not answer: work goes on with the last form of this station.
  function goOnUnchecked(asked) {
    const unit = fresh(asked);
    if (unit?.state !== "asking") return;
    unit.state = "unchecked";
    if (kept.form) Object.assign(unit, kept.form);
    draw();
  }

  // Another attempt at a unit takes away what of it was refused before, and the refusal that is shown.
  function settleShown(sn) {
    const old = refused.filter((entry) => entry.kind === "track-in" && (entry.sn === sn || entry.entryId === told?.entryId));
    refused = refused.filter((entry) => !old.includes(entry));
    for (const { entryId } of old) { delete kept.sent[entryId]; entries.settle(entryId); }
  }

  // What was refused is opened again with all that was typed.
  async function openAgain(entryId) {
    const unit = kept.sent[entryId], entry = refused.find((each) => each.entryId === entryId);
    await settle(entryId, { draws: false });
    delete kept.sent[entryId];
    told = null;
    // Also where it is not in the station any more, or was worked on without an answer: to take it in again changes
    // nothing where it is still here, and tells its own form.
    if (entry?.kind === "track-in" || !unit.trackId || entry?.error?.code === "UNIT_NOT_IN_STATION") {
      delete unit.trackId;
      Object.assign(unit, { state: "asking", key: `${unit.key}+` });
      kept.units.push(unit);
      kept.chosen = unit.key;
      draw();
      return takeIn(unit);
    }
    unit.state = "in";
    unit.answeredAt = Date.now();
    kept.units.push(unit);
    kept.chosen = unit.key;
    draw();
  }

  async function settle(entryId, { draws = true } = {}) {
    if (draws) delete kept.sent[entryId];
    refused = refused.filter((entry) => entry.entryId !== entryId);
    await entries.settle(entryId);
    if (draws) draw();
  }

  // --- what is recorded -------------------------------------------------------------------------------------------

  // Whether another tab has chosen another unit than the one that is drawn: then it is drawn, and nothing is done, for
  // what was pressed or named was meant for the other.
  function isOther() {
    sync();
    const unit = chosenUnit();
    if (unit === null || unit.state === "asking" || drawnUnit() === unit) return false;
    drawn = null;
    draw();
    note("chosen", { sn: unit.sn }, "bad");
    return true;
  }

  function finish(result) {
    hush();
    if (resolving) { // what was scanned into a field belongs to it, or is another unit
      const { chosen } = kept;
      return resolving.then(() => (kept.chosen === chosen ? finish(result) : undefined));
    }
    if (isOther()) return;
    takeWheres();
    const unit = chosenUnit();
    if (!unit) return note("nothing_in_work", {}, "bad");
    if (unit.state === "asking") return note("still_asking", { sn: unit.sn }, "bad");
    const read = stationForm.read(unit);
    if (result === "PASS" && stationDefects.hasDefect(unit)) return note("defects_named", {}, "bad");
    if (stationDefects.count(unit) > config.mostDefects) return note("too_many", { most: config.mostDefects }, "bad");
    const missing = result === "PASS" ? read.missing : [];
    stationForm.show(part("values"), { wrong: read.wrong, missing });
    if (read.wrong.length) return note("wrong_beside", { names: read.wrong.map(({ name }) => name).join(", ") }, "bad");
    if (missing.length) return note("missing", { names: missing.join(", ") }, "bad");
    const of = unit.trackId ? { trackId: unit.trackId } : {}; // no later attempt is closed, where this arrives late
    record(unit, result, { result, ...of, data: read.data, defects: stationDefects.body(unit) });
  }

  async function record(unit, result, body) {
    if (sending.has(unit.key)) return; // pressed twice
    sending.add(unit.key);
    const entryId = await addEntry(unit, "track-out", body);
    sync();
    sending.delete(unit.key);
    if (entryId === null) return draw();
    drop(unit);
    kept.sent[entryId] = { ...unit, claimed: result, picking: false };
    told = { state: isOffline ? "kept" : "sending", entryId, sn: unit.sn, result };
    draw();
    setTimeout(() => { if (told?.entryId === entryId && told.state === "sending") { told.state = "kept"; draw(); } }, PATIENCE);
    replayEarly(entryId);
  }

  function pressFail({ isClick = false } = {}) {
    hush();
    if (isOther()) return;
    takeWheres();
    const unit = chosenUnit();
    if (!unit) return note("nothing_in_work", {}, "bad");
    if (unit.state === "asking") return note("still_asking", { sn: unit.sn }, "bad");
    if (!unit.picking) { failPressedAt = Date.now(); return openPicker(unit); }
    if (Date.now() - failPressedAt < BOUNCE) return;
    const isNamed = unit.defects.length > 0 || stationForm.read(unit).fails;
    if (!isNamed && !isClick) return note("name_defect", {}, "bad");
    finish("FAIL");
  }

  // Designators that were typed and not ended yet count as well.
  function takeWheres() {
    for (const field of document.querySelectorAll("#named [data-where]")) if (chosenUnit()) stationDefects.takeWhere(chosenUnit(), field, false);
  }

  function openPicker(unit) {
    unit.picking = true;
    stationDefects.draw(unit);
    draw();
    part("defects").scrollIntoView({ block: "nearest" });
    part("defects-head").tabIndex = -1;
    part("defects-head").focus({ preventScroll: true });
  }

  function nameDefect(code) {
    if (isOther()) return;
    const unit = chosenUnit();
    if (!unit) return note("nothing_in_work", {}, "bad");
    if (unit.state === "asking") return note("still_asking", { sn: unit.sn }, "bad");
    if (!stationDefects.find(code)) return note("unknown_defect", { code }, "bad");
    stationDefects.add(unit, code);
    if (!unit.picking) openPicker(unit);
    failPressedAt = 0;
    stationDefects.drawNamed(unit);
    draw();
    note("defect_added", { name: stationDefects.nameOf(code) });
  }

  function nameDesignator(text) {
    if (isOther()) return;
    const unit = chosenUnit();
    if (!unit?.defects.length) return note(unit ? "designator_first" : "nothing_in_work", {}, "bad");
    const location = stationDefects.locate(unit, text);
    if (!unit.picking) openPicker(unit);
    stationDefects.drawNamed(unit);
    draw();
    note("designator_added", { name: stationDefects.nameOf(unit.defects.at(-1).code), location });
  }

  stationDefects.changed = (what, code = null) => {
    const unit = chosenUnit();
    if (what === "add") return nameDefect(code);
    if (what === "named" && unit) stationDefects.drawNamed(unit);
    draw();
    if (what === "named" && code) document.querySelector(code)?.focus();
  };

  // First the defects that were named go, then what was typed, then the choice. The unit stays in the station.
  function cancel() {
    hush();
    if (isOther()) return;
    const unit = chosenUnit();
    if (!unit && told) { const { entryId, state, kind } = told; told = null; return state === "refused" && kind === "track-in" ? settle(entryId) : draw(); }
    if (!unit) return note("nothing_to_cancel");
    if (unit.picking || unit.defects.length) {
      Object.assign(unit, { picking: false, defects: [] });
      draw();
      return focusValue();
    }
    if (Object.values(unit.typed).some(Boolean)) {
      unit.typed = {};
      drawn = null;
      draw();
      return note("cleared", { sn: unit.sn });
    }
    kept.chosen = null;
    draw();
    note("put_aside", { sn: unit.sn });
  }

  // --- answers ----------------------------------------------------------------------------------------------------

  function replayEarly(entryId) {
    const answer = early.get(entryId);
    early.delete(entryId);
    if (answer) answer();
  }

  function takeAnswer({ entryId, kind, answer }) {
    sync();
    isDeaf = false; // the server is there, before the next refresh tells
    if (kind === "track-in") takeAnswerIn(entryId, answer);
    else takeAnswerOut(entryId, answer);
  }

  function takeAnswerIn(entryId, answer) {
    const form = formOf(answer), unit = kept.units.find((each) => each.entryId === entryId);
    const { sn, attempt, trackId } = answer;
    kept.form = form;
    if (!unit) {
      const sent = Object.values(kept.sent).find((each) => each.entryId === entryId);
      // Opened again, it shows the form of its own step, not the last one of this station.
      if (sent) Object.assign(sent, form, { sn, attempt, trackId });
      else early.set(entryId, () => takeAnswerIn(entryId, answer));
      return keep();
    }
    const same = kept.units.find((each) => each !== unit && each.sn === sn);
    if (same) return joinUnits(unit, same);
    Object.assign(unit, form, { sn, attempt, trackId, state: "in", isHeld: answer.status === "ON_HOLD", answeredAt: unit.state === "in" ? unit.answeredAt : Date.now() });
    stationTones.play("good");
    draw();
  }

  function formOf(answer) {
    return { stepNo: answer.stepNo, operation: answer.operation, specs: answer.dataSpecs, instructions: answer.workInstructions ?? [], steps: answer.steps ?? [] };
  }

  // Another label of a unit that is in work.
  function joinUnits(unit, same) {
    const wasChosen = kept.chosen === unit.key;
    same.labels.push(...unit.labels);
    drop(unit);
    if (wasChosen) kept.chosen = same.key;
    draw();
    if (wasChosen) note("chosen", { sn: same.sn });
  }

  function takeAnswerOut(entryId, answer) {
    const unit = kept.sent[entryId];
    if (!unit) { early.set(entryId, () => takeAnswerOut(entryId, answer)); return; }
    delete kept.sent[entryId];
    finished.set(answer.sn, Date.now());
    if (told?.entryId === entryId) told = { state: "done", sn: answer.sn, claimed: unit.claimed, answer, steps: unit.steps, stepNo: unit.stepNo };
    stationTones.play(answer.result === "PASS" ? "good" : "fail");
    draw();
  }

  function takeRefusal({ entryId, kind, sn, error }) {
    sync();
    isDeaf = false;
    const unit = kept.units.find((each) => each.entryId === entryId && kind === "track-in");
    if (kind === "track-in" ? !unit && !Object.values(kept.sent).some((each) => each.entryId === entryId) : !kept.sent[entryId]) early.set(entryId, () => takeRefusal({ entryId, kind, sn, error }));
    const isShown = unit ? kept.chosen === unit.key : !chosenUnit() && told?.entryId === entryId;
    const label = unit?.sn ?? kept.sent[entryId]?.sn ?? sn;
    if (unit) {
      if (Object.values(unit.typed).some(Boolean) || unit.defects.length) kept.sent[entryId] = { ...unit, picking: false };
      drop(unit);
    }
    if (isShown) told = { state: "refused", entryId, kind, sn: label, error };
    stationTones.play("bad");
    countEntries();
    draw();
  }

  async function countEntries() {
    const all = await entries.list(config.station);
    waiting = all.filter(({ state }) => state !== "REFUSED").length;
    refused = all.filter(({ state }) => state === "REFUSED");
    sync();
    if (told?.state === "refused" && !refused.some(({ entryId }) => entryId === told.entryId)) told = null; // settled in another tab
    draw();
  }

  // Who was in work here and is not in the station any more left it otherwise. What was asked before the unit came in
  // says nothing about it, nor does a list that is cut of who does not stand on it.
  function lookInside() {
    sync();
    const inside = insideNow(), isCut = part("inside-all")?.dataset.isCut !== undefined, isTold = (unit) => !isCut || inside.includes(unit.sn);
    const gone = kept.units.filter((unit) => isTold(unit) && unit.state === "in" && unit.answeredAt < askedAt && !sending.has(unit.key) && !inside.includes(unit.sn));
    for (const unit of kept.units) if (isTold(unit) && unit.answeredAt < askedAt) unit.isHeld = false; // what is held is told with the list
    for (const unit of gone) {
      if (kept.chosen === unit.key) { told = { state: "left", sn: unit.sn }; stationTones.play("bad"); }
      drop(unit);
    }
    draw();
  }

  // After a reload: what was answered meanwhile is asked again, which changes nothing, or was recorded.
  async function takeUp() {
    const old = kept.units.map(({ key }) => key);
    const all = await entries.list(config.station), open = new Set(all.map(({ entryId }) => entryId));
    for (const entryId of Object.keys(kept.sent)) if (!open.has(entryId)) delete kept.sent[entryId];
    for (const entry of all) if (entry.state === "REFUSED" && kept.units.some(({ entryId }) => entryId === entry.entryId)) takeRefusal(entry);
    for (const unit of kept.units.filter(({ key, state, entryId }) => old.includes(key) && state !== "in" && !open.has(entryId))) { unit.state = "asking"; takeIn(unit); }
    countEntries();
  }

  // --- keys and fields --------------------------------------------------------------------------------------------

  function goOn(field) {
    const fields = [...part("values").querySelectorAll("input, textarea")].filter((each) => each.offsetParent && (each.type !== "radio" || each.value === "true"));
    fields[fields.indexOf(field) + 1]?.focus();
  }

  function takeKey(event) {
    if (event.defaultPrevented || event.altKey || event.metaKey) return;
    if (event.ctrlKey && event.key === "Enter") { event.preventDefault(); if (!event.repeat) finish("PASS"); return; }
    if (event.key === "F9") { event.preventDefault(); if (!event.repeat) pressFail(); return; }
    if (event.ctrlKey) return;
    const unit = chosenUnit();
    if (event.key === "Escape" && unit?.picking) { unit.picking = false; draw(); return focusValue(); }
    if (event.key === "Enter" && event.target.matches("#values input")) { event.preventDefault(); return goOn(event.target); }
    if (event.key === "Enter" && event.target.id === "find-code") { event.preventDefault(); return takeOnlyCode(); }
  }
  // A digit that nobody typed into a field, and no scanner.
  function takeLoneKey({ detail: { key, target, isModified } }) {
    const unit = chosenUnit();
    if (!unit?.picking || isModified || !/^[1-9]$/.test(key) || target?.matches?.("input, textarea")) return;
    const code = stationDefects.mostUsed(unit)[Number(key) - 1];
    if (code) nameDefect(code);
  }
  function takeOnlyCode() {
    const [tile, ...others] = part("all-codes").querySelectorAll("[data-code]");
    if (tile && !others.length) { nameDefect(tile.dataset.code); stationDefects.draw(chosenUnit()); }
  }

  function takeTyped({ target: field }) {
    sync();
    typedAt = Date.now();
    const unit = drawnUnit();
    if (!unit || !field.dataset.name) return;
    unit.typed[field.dataset.name] = field.value;
    keep();
    if (isOther()) return;
    if (field.dataset.judge) stationForm.judge(field);
    stationForm.clear(part("values"), field.dataset.name);
    hushTyped(stationForm.read(unit));
    drawFinish(unit);
  }

  function listen() {
    document.addEventListener("scan", (event) => {
      if (event.detail.field?.closest(".sign-on")) return; // a badge, for who signs on
      event.preventDefault();
      takeScan(event.detail);
    });
    document.addEventListener("scan-garbled", () => stationTones.play("bad"));
    document.addEventListener("lone-key", takeLoneKey);
    const isHere = ({ detail }) => detail.stationCode === config.station; // another tab may work at another station
    document.addEventListener("entry-answered", (event) => { if (isHere(event)) takeAnswer(event.detail); });
    document.addEventListener("entry-refused", (event) => { if (isHere(event)) takeRefusal(event.detail); });
    document.addEventListener("entries-changed", countEntries);
    document.addEventListener("entries-offline", ({ detail }) => { isOffline = true; stopped = detail; kept.units.forEach(goOnUnchecked); if (told?.state === "sending") told.state = "kept"; draw(); });
    document.addEventListener("entries-online", () => { isOffline = false; stopped = null; countEntries(); });
    addEventListener("storage", ({ key }) => { if (key === store.name && sync()) draw(); });
    document.addEventListener("keydown", takeKey);
    part("values").addEventListener("input", takeTyped);
    part("values").addEventListener("submit", (event) => event.preventDefault());
    part("scan-form").addEventListener("submit", (event) => { event.preventDefault(); const { value } = part("scan"); part("scan").value = ""; takeScan({ text: value }); });
    part("find-code").addEventListener("input", () => { typedAt = Date.now(); stationDefects.drawCodes(chosenUnit()); stationDefects.drawNamed(chosenUnit()); });
    part("pass").addEventListener("click", () => finish("PASS"));
    part("fail").addEventListener("click", () => pressFail({ isClick: true }));
    part("cancel").addEventListener("click", cancel);
  }

  // The live part rests while somebody types or picks, and says afterwards who is still in the station.
  function listenToLive() {
    document.addEventListener("htmx:beforeRequest", (event) => {
      if (event.target.id !== "live" || event.defaultPrevented) return;
      if (Date.now() - typedAt < RESTS || chosenUnit()?.picking) event.preventDefault();
      else askedAt = Date.now();
    });
    for (const name of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) document.addEventListener(name, () => { isDeaf = true; drawWaiting(); });
    document.addEventListener("htmx:afterOnLoad", ({ detail: { xhr, elt } }) => {
      isDeaf = false;
      entries.heard({ headers: { get: (name) => xhr.getResponseHeader(name) } }, elt?.id === "live" ? askedAt : 0);
      drawWaiting();
    });
    document.addEventListener("htmx:afterRequest", (event) => { if (event.detail.successful && event.detail.elt?.id === "live") setTimeout(lookInside); });
  }

  stationTones.listen(part("sound"), say);
  if (config.mayWork) {
    listen();
    listenToLive();
    stopped = entries.status();
    isOffline = stopped !== null;
    takeUp();
  }
  draw();
}
