"use strict";
// What arrives of a scanner: its text with control characters shown, its keys, how fast they came, what is wrong with its
// settings, and what the text is read as.

const scanTest = (() => {
  const KEPT = 10, PAUSE = 400; // ms after which other keys are meant
  const list = document.getElementById("scans"), words = list.dataset;
  let keys = [], quiet;

  function fill(text, values) {
    return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
  }
  function show(text) {
    return [...text].map((each) => each < " " ? String.fromCharCode(0x2400 + each.charCodeAt(0)) : each).join("");
  }
  function onKey(event) {
    if (["Shift", "Control", "Alt", "AltGraph", "CapsLock"].includes(event.key)) return;
    const held = [event.ctrlKey && "Ctrl", event.altKey && "Alt"].filter(Boolean);
    keys.push({ at: event.timeStamp, name: [...held, event.key === " " ? "Space" : event.key].join("+") });
    clearTimeout(quiet);
    quiet = setTimeout(endUnread, PAUSE);
  }
  function widest(of) {
    return Math.round(Math.max(0, ...of.slice(1).map((each, index) => each.at - of[index].at)));
  }
  // Keys that were no scan: those of a slow scanner, or of a person.
  function endUnread() {
    const of = keys;
    keys = [];
    if (of.length > 5) add("", of, [fill(words.slow, { keys: of.length, gap: widest(of) })]);
  }
  function onScan(event) {
    event.preventDefault();
    const of = keys, { text } = event.detail;
    keys = [];
    clearTimeout(quiet);
    const item = add(show(text), of, [...aboutKeys(of), ...aboutText(text)]);
    read(text, item);
  }
  function aboutKeys(of) {
    const last = of.at(-1)?.name ?? "";
    const isEnded = ["Enter", "Tab", "Ctrl+m", "Ctrl+j", "Ctrl+i"].includes(last);
    return [isEnded ? fill(words.suffix, { key: last }) : words.noSuffix, fill(words.gap, { gap: widest(of) })];
  }
  function aboutText(text) {
    const plain = text.replace(/^\][A-Za-z][0-9A-Za-z]/, ""), start = text.indexOf(words.test.slice(0, 4));
    const told = plain === text ? [words.noAim] : [];
    if (start >= 0 && text.length > 10) return [...told, compare(text.slice(start))];
    const foreign = [...new Set(text)].filter((each) => each > "~");
    return foreign.length ? [...told, fill(words.foreign, { characters: foreign.join(" ") })] : told;
  }
  function compare(arrived) {
    const pairs = [...words.test].map((sent, index) => [sent, arrived[index] ?? ""]).filter(([sent, came]) => sent !== came);
    return pairs.length ? fill(words.layout, { pairs: pairs.map(([sent, came]) => `${sent} → ${came || "–"}`).join(", ") }) : words.same;
  }

  async function read(text, item) {
    try {
      const [said, meant] = await Promise.all([scanner.ask("read", text), scanner.ask("resolve", text)]);
      const parts = { ...said.data?.ai, ...said.data?.di };
      const named = Object.entries(parts).map(([name, value]) => `(${name}) ${value}`).join(", ");
      const told = [...(said.data?.problems ?? [])];
      if (named) told.push(fill(words.parts, { parts: named }));
      if (meant.data) told.push(fill(words.means, meant.data));
      else if (meant.error) told.push(fill(words.ambiguous, { kinds: (meant.error.details.kinds ?? [meant.error.message]).join(", ") }));
      item.append(...told.map(line));
    } catch { /* the server does not answer: the page says so anywhere else */ }
  }
  function line(text) {
    const said = document.createElement("p");
    said.textContent = text;
    return said;
  }
  function add(text, of, told) {
    const item = document.createElement("li"), name = document.createElement("b"), pressed = line(of.map((each) => each.name).join(" "));
    name.className = "is-code";
    name.textContent = text;
    pressed.className = "quiet is-code";
    item.append(name, pressed, ...told.map(line));
    list.prepend(item);
    while (list.children.length > KEPT) list.lastElementChild.remove();
    document.getElementById("nothing-scanned").hidden = true;
    return item;
  }
  return { onKey, onScan };
})();

addEventListener("keydown", scanTest.onKey, true); // before `scanner.js`, which lets nobody else see the keys of a scan
document.addEventListener("scan", scanTest.onScan);
