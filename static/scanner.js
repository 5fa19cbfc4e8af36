"use strict";
// A scanner is a keyboard that types fast. On a page with `data-scan-page`, characters at most 50 ms apart that end with
// Enter, Tab or 100 ms of silence are a scan, wherever the focus is: what fell into a field is taken back, and `document`
// gets a cancelable event `scan` with `{text, field, isText, takeBack}`. Where nobody prevents it, a field that takes
// scans gets the text. A key that somebody presses alone is told as `lone-key` on every page: a shortcut of one character
// listens to that, or each scan that has the character would press it.
//
// Fields: `data-takes-scans` takes a scan (as `input.is-code` does), and one of `data-takes-scans="text"` keeps it as it
// was typed, unless it is a command; `data-scan-kind` names the kind that it takes (as `/api/scans/resolve` answers it),
// `data-scan-submit`, also on a form, sends it. A field may take it its own way: it gets a cancelable event `scan-into` first.
// `data-scan-search` on the field that finds anything.

window.scanner = (() => {
  const APART = 50, SILENCE = 100, HICCUP = 250; // ms
  const SHORTEST = { ended: 3, silent: 6 }; // characters: people press two keys at once, too
  const [GS, RS, EOT] = ["\x1d", "\x1e", "\x04"];
  // How scanners send control characters: with Ctrl, by the place of the key and what is on it; as function keys.
  const WITH_CTRL = { BracketRight: GS, "]": GS, Digit6: RS, "^": RS, Backslash: "\x1c", "\\": "\x1c", Minus: "\x1f", _: "\x1f", KeyD: EOT, KeyB: "\x02", KeyC: "\x03", KeyA: "\x01", KeyM: "\r", KeyJ: "\n", KeyI: "\t" };
  const AS_FUNCTION = { F7: "\x1c", F8: GS, F9: RS, F10: "\x1f" };
  const ENDS = { Enter: "\r", Tab: "\t", "\r": "\r", "\n": "\r", "\t": "\t" };
  const MODIFIERS = ["Shift", "Control", "Alt", "AltGraph", "Meta", "CapsLock", "NumLock", "Fn"];
  const TYPED_INTO = "input:not([type=radio], [type=checkbox], [type=button], [type=submit], [type=hidden]), textarea, select";
  const TAKES = "[data-takes-scans], [data-scan-submit], input.is-code";
  const COMMAND = /^(\][A-Za-z][0-9A-Za-z])?LK\./;
  let burst = null, typed = null, endedAt = -Infinity, code = null; // `code` is what Alt and digits of the number pad make

  // --- characters of a keyboard ---------------------------------------------------------------------------

  function characterOf(event) {
    const { key } = event, isGraph = event.getModifierState("AltGraph");
    if (ENDS[key]) return ENDS[key];
    if (event.ctrlKey && !event.altKey && !isGraph) return controlOf(event);
    if (event.metaKey || (event.altKey && !event.ctrlKey && !isGraph)) return null;
    if ([...key].length === 1) return key;
    return (burst && AS_FUNCTION[key]) || (burst && key === "Dead" ? "�" : null);
  }
  function controlOf(event) {
    const control = WITH_CTRL[event.key] ?? WITH_CTRL[event.code] ?? null;
    const isExpected = burst || control === GS || (ENDS[control] && event.timeStamp - endedAt <= APART);
    return isExpected ? control : null; // else it is a shortcut
  }
  // Windows: Alt held, the number of the character on the number pad.
  function takeDigit(event) {
    const digit = event.altKey && !event.ctrlKey && /^Numpad([0-9])$/.exec(event.code);
    if (!digit) return false;
    code = (code ?? "") + digit[1];
    begin(event);
    wait(event);
    if (isPage() && !isTypedInto(event.target)) hush(event);
    return true;
  }
  function endOfCode(event) {
    if (event.key !== "Alt" || code === null) return;
    const character = String.fromCharCode(Number(code) & 0xff);
    code = null;
    if (!burst) return;
    if (ENDS[character]) finish("ended"); else add(character, event);
  }

  // --- from keys to scans -----------------------------------------------------------------------------------

  function onKeyDown(event) {
    if (event.isComposing || event.key === "Process" || event.key === "Unidentified") return;
    if (burst && event.timeStamp - burst.last > (isScan("silent") ? SILENCE : APART)) finish(event.timeStamp - burst.last < SILENCE ? "apart" : "silent");
    if (MODIFIERS.includes(event.key)) { if (burst) wait(event); return; }
    if (takeDigit(event)) return;
    const character = event.repeat ? null : characterOf(event);
    if (character === "\r" || character === "\t" || character === "\n") onEnd(event);
    else if (character === null) finish("broken");
    else onCharacter(character, event);
  }
  function onEnd(event) {
    const isSecond = event.timeStamp - endedAt <= APART; // a line that ends with CR and LF, or with Enter and Tab
    if (isSecond || (burst && isScan("ended") && isPage())) hush(event);
    if (isSecond && !burst) return;
    if (burst) finish("ended");
    if (event.defaultPrevented) endedAt = event.timeStamp;
  }
  function onCharacter(character, event) {
    const isFurther = burst !== null && burst.text.length > 0;
    begin(event);
    if (isFurther && isPage() && (!isTypedInto(event.target) || character < " ")) hush(event); // presses and opens nothing
    noteOverlap(event);
    add(character, event);
  }
  function isTypedInto(target) {
    return target.matches?.(TYPED_INTO + ", [contenteditable]") && !target.matches("select");
  }
  function hush(event) {
    event.preventDefault();
    event.stopImmediatePropagation();
  }
  function begin(event) {
    burst ??= { text: "", last: event.timeStamp, before: remember(focusedBy(event)), target: event.target, first: event, down: new Map(), pairs: 0, overlaps: 0, latest: "" };
    burst.began ??= event.timeStamp;
  }
  // A prefix `/` moves the focus to the search, where the others fall.
  function focusedBy(event) {
    const isPrefix = event.key === "/" && !event.target.closest?.("input, textarea, select");
    return (isPrefix && document.querySelector("[data-scan-search]")) || document.activeElement;
  }
  function add(character, event) {
    burst.text += character;
    wait(event);
  }
  function wait(event) {
    burst.last = event.timeStamp;
    clearTimeout(burst.timer);
    burst.timer = setTimeout(onSilence, SILENCE, burst); // events tell when they were, timers do not
  }
  function onSilence(of) {
    if (of !== burst) return;
    if (navigator.scheduling?.isInputPending?.()) burst.timer = setTimeout(onSilence, SILENCE, of);
    else finish("silent");
  }

  // Two scanners at once are one keyboard to a page, but their keys are held at the same time: now and then, where one
  // scanner holds none, or lets go of each only with the next.
  function noteOverlap(event) {
    if (burst.latest && burst.latest !== event.code) burst.pairs += 1;
    burst.latest = event.code;
    burst.down.set(event.code, burst.text.length);
  }
  function onKeyUp(event) {
    endOfCode(event);
    if (!burst?.down.has(event.code)) return;
    if (burst.latest !== event.code) burst.overlaps += 1;
    burst.down.delete(event.code);
  }
  function isGarbled({ overlaps, pairs }) {
    return overlaps > 0 && overlaps < 0.8 * pairs;
  }

  function isScan(how) {
    return how !== "broken" && how !== "apart" && burst.text.replace(/[\0-\x1f]/g, "").length >= SHORTEST[how];
  }
  function finish(how) {
    const of = burst;
    if (of === null) return;
    const isOne = isScan(how);
    burst = null;
    clearTimeout(of.timer);
    if (isOne && isPage()) tell(of);
    else keepTyped(of, how);
    if (!isOne && of.text.length === 1 && how !== "broken" && how !== "apart") tellLoneKey(of);
  }
  // A busy computer may split a scan: what came just before belongs to it, but where a person may have typed it.
  function keepTyped(of, how) {
    const text = isNextTo(of) ? typed.text + of.text : of.text;
    typed = how === "broken" ? null : { text, last: of.last, before: isNextTo(of) ? typed.before : of.before };
  }
  function isNextTo({ began, before }) {
    return typed !== null && began - typed.last <= HICCUP && typed.before.field === before.field;
  }
  function join(of) {
    const isCode = of.before.field === null || (of.before.field.matches(TAKES) && of.before.field.dataset.takesScans !== "text");
    const whole = isCode && isNextTo(of) ? { ...of, text: typed.text + of.text, before: typed.before } : of;
    typed = null;
    return whole;
  }
  function tellLoneKey({ text, target, first }) {
    const detail = { key: text, target, isModified: first.ctrlKey || first.altKey || first.metaKey };
    document.dispatchEvent(new CustomEvent("lone-key", { detail }));
  }
  function isPage() {
    return document.querySelector("[data-scan-page]") !== null;
  }

  // --- taken back from a field ----------------------------------------------------------------------------

  function remember(field) {
    if (!field?.matches?.(TYPED_INTO)) return { field: null };
    if (field.matches("select")) return { field, index: field.selectedIndex };
    return { field, value: field.value, start: field.selectionStart, end: field.selectionEnd, direction: field.selectionDirection };
  }
  function takeBack({ field, index, value, start, end, direction }) {
    if (!field?.isConnected) return;
    if (index !== undefined) { field.selectedIndex = index; field.dispatchEvent(new Event("change", { bubbles: true })); return; }
    if (field.value === value) return;
    field.value = value;
    if (start !== null) field.setSelectionRange(start, end, direction ?? "none");
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }

  // --- a scan ---------------------------------------------------------------------------------------------

  function tell(part) {
    const of = join(part), { field } = of.before, back = () => takeBack(of.before);
    if (isGarbled(of)) { back(); return say("garbled"); }
    const text = clean(of.text), isText = field?.dataset.takesScans === "text" && !COMMAND.test(text);
    if (!isText) back();
    dispatch({ text, field, isText, takeBack: back, isForSearch: of.text.startsWith("/") });
  }
  // A prefix `/` sends to the search; no code begins so. Scanners that send function keys cannot send EOT.
  function clean(text) {
    const plain = text.replace(/^[/\x01\x02]+|\x03+$/g, "");
    return plain.startsWith("[)>" + RS) && plain.endsWith(RS) ? plain + EOT : plain;
  }
  function feed(text) {
    const { field } = remember(document.activeElement);
    dispatch({ text, field, isText: false, takeBack: () => {}, isForSearch: false });
  }
  function dispatch(detail) {
    say("");
    if (document.dispatchEvent(new CustomEvent("scan", { cancelable: true, detail }))) take(detail);
  }

  // --- where nobody else takes it ---------------------------------------------------------------------------

  function take({ text, field, isText, isForSearch }) {
    if (isText) return goOn(field);
    const fields = [...document.querySelectorAll("main :is(" + TAKES + ")")].filter((each) => isOpen(each) && each.dataset.takesScans !== "text");
    if (isForSearch) return search(text);
    if (field && "scanSearch" in field.dataset) return put(field, text);
    if (field && fields.includes(field)) return put(field, text);
    if (!fields.length) return search(text);
    if (fields.some((each) => each.dataset.scanKind)) return putByKind(text, fields);
    put(fields.find((each) => !each.value) ?? fields[0], text);
  }
  function isOpen(field) {
    return field.getClientRects().length > 0 && !field.closest("details:not([open])") && !field.disabled && !field.readOnly;
  }
  // Where somebody has begun to fill in something else, nothing is sent: the page would go, and that with it.
  function put(field, text) {
    if (!field.dispatchEvent(new CustomEvent("scan-into", { bubbles: true, cancelable: true, detail: { text } }))) return;
    const isSent = isSentAtOnce(field), isKept = isSent && document.activeElement !== field && isHalfDone(field.form);
    field.value = text;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    if (isKept) return say("kept", text);
    field.focus();
    if (isSent) field.form.requestSubmit();
    else goOn(field);
  }
  function isSentAtOnce(field) {
    return field.closest("[data-scan-submit]") !== null;
  }
  function goOn(field) {
    if (!field?.form) return;
    const stops = [...field.form.elements].filter((each) => !each.hidden && each.type !== "hidden");
    stops[stops.indexOf(field) + 1]?.focus();
  }
  function search(text) {
    const field = document.querySelector("[data-scan-search]");
    if (field) put(field, text);
  }
  function isHalfDone(but) {
    const typed = [...document.querySelectorAll("main form input, main form textarea, main form select")];
    return typed.some((each) => each.form !== but && isOpen(each) && hasChanged(each));
  }
  function hasChanged(field) {
    if (field.matches("[type=radio], [type=checkbox]")) return field.checked !== field.defaultChecked;
    if (field.matches("select")) return [...field.options].some((each) => each.selected !== each.defaultSelected) && field.selectedIndex > 0;
    return field.value !== field.defaultValue;
  }

  async function putByKind(text, fields) {
    let answer = null;
    try { answer = await resolve(text); } catch { /* the server does not answer */ }
    const kinds = answer?.error?.details?.kinds ?? [answer?.data?.kind];
    const field = fields.find((each) => kinds.includes(each.dataset.scanKind));
    if (field) return put(field, text);
    if (!answer?.data || answer.data.kind === "UNKNOWN") return say("choose", answer?.data?.code ?? text);
    put(fields[0], text); // it will be said what it is
  }
  const resolve = (text) => ask("resolve", text);
  // What the interface says of a text: `read` or `resolve`. Fails where the server does not answer.
  async function ask(what, text) {
    const token = document.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "";
    const headers = { "Content-Type": "application/json", "X-CSRFToken": token };
    const answered = await fetch(`/api/scans/${what}`, { method: "POST", headers, body: JSON.stringify({ text }) });
    return answered.json();
  }

  function say(what, text = "") {
    const note = document.getElementById("scan-note");
    if (!note) return;
    note.hidden = !what;
    note.textContent = what ? note.dataset[what].replace("{text}", text) : "";
    if (what === "garbled") document.dispatchEvent(new CustomEvent("scan-garbled"));
  }

  // A person ends a code with Enter, too: that goes on to the next field, and sends no form that is half filled in.
  function onTypedEnd(event) {
    const field = event.target;
    if (event.key !== "Enter" || event.defaultPrevented || !field.matches?.(".act-form input.is-code") || !field.value || isSentAtOnce(field)) return;
    event.preventDefault();
    goOn(field);
  }

  addEventListener("keydown", onKeyDown, true);
  addEventListener("keyup", onKeyUp, true);
  addEventListener("pointerdown", () => finish("broken"), true);
  document.addEventListener("keydown", onTypedEnd);
  return { feed, resolve, ask };
})();
