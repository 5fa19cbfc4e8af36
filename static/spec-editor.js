"use strict";
// The form of a data collection spec: shows the fields that fit, draws the band while one types, and asks the server what
// these limits would have done to the values that are kept. Which fields fit, and what is wrong, the server says.

const live = document.getElementById("spec-live");
const form = document.getElementById("datacollectionspec_form");
const said = live.dataset;
const LIMITS = ["lsl", "target", "usl", "alarm_min", "alarm_max"];
const PLACES = { "limits.lsl": "lsl", "limits.target": "target", "limits.usl": "usl", "alarm.min": "alarm_min",
  "alarm.max": "alarm_max", "alarm.action": "alarm_action", "limits.unit": "unit" };
const fitting = JSON.parse(said.fitting);
const stored = said.now ? JSON.parse(said.now) : {};
const input = (name) => form.elements[name] ?? null;
const part = (id) => document.getElementById(id);
let bars = null; // how the kept values lie, once that is known

// --- fields that fit

// What stood there although it does not fit stays to be seen, until somebody empties it.
const misfits = new Set();
function rowOf(field) {
  return field.closest(".fieldBox")?.parentElement ?? field.closest(".form-row");
}
const rule = input("trigger_rule");
if (rule?.value === "null") rule.value = rule.defaultValue = ""; // how an empty JSON field is shown
function isFilled(field) {
  return Boolean(field.value);
}
function decide(name) {
  const decider = input(name);
  const [values, fields] = fitting[name];
  const fits = !decider || values.includes(decider.value);
  for (const each of fields) {
    const field = input(each);
    if (!field) continue;
    const shown = fits || misfits.has(each);
    rowOf(field).hidden = !shown;
    field.disabled = !shown; // what is not shown is not sent
  }
  for (const row of form.querySelectorAll(".spec-fields .form-multiline")) {
    row.closest(".form-row").hidden = [...row.children].every((child) => child.hidden);
  }
  for (const set of form.querySelectorAll(".spec-fields fieldset")) {
    set.hidden = [...set.querySelectorAll(".form-row")].every((row) => row.hidden);
  }
}
for (const [name, [values, fields]] of Object.entries(fitting)) {
  const decider = input(name);
  if (!decider) continue;
  if (!values.includes(decider.value)) {
    for (const each of fields) if (input(each) && isFilled(input(each))) misfits.add(each);
  }
  decider.addEventListener("change", () => { misfits.clear(); decide(name); show(); });
  decide(name);
}
function isNumber() {
  const type = input("data_type");
  return type ? fitting.data_type[0].includes(type.value) : Boolean(said.values);
}

// --- what is typed

function typed(name) {
  const field = input(name);
  if (!field) return stored[name] ?? null;
  if (field.value.trim() === "") return null;
  const number = Number(field.value);
  return Number.isFinite(number) ? number : null;
}
function all() {
  return Object.fromEntries(LIMITS.map((name) => [name, typed(name)]));
}
function unit() {
  return input("unit")?.value.trim() ?? said.unit ?? "";
}
const plain = new Intl.NumberFormat(document.documentElement.lang || "en", { maximumSignificantDigits: 10, useGrouping: false });
const counted = new Intl.NumberFormat(document.documentElement.lang || "en");
function fill(text, values) {
  return text.replace(/{(\w+)}/g, (_all, name) => values[name] ?? "").replace(/ +([.,]|$)/g, "$1").trim();
}
function between(low, high) {
  const words = { low: low === null ? "" : plain.format(low), high: high === null ? "" : plain.format(high), unit: unit() };
  if (low !== null && high !== null) return fill(said.between, words);
  return low !== null ? fill(said.above, words) : fill(said.below, words);
}

// --- the drawing

const SVG = "http://www.w3.org/2000/svg";
const LEFT = 6, WIDTH = 388, TOP = 18, BOTTOM = 100;
function put(into, name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  into.append(made);
}
function draw() {
  const svg = live.querySelector("svg");
  const at = all();
  const marks = [...LIMITS.map((name) => at[name]), ...(bars ? [bars.low, bars.high] : [])].filter((one) => one !== null);
  svg.replaceChildren();
  svg.toggleAttribute("hidden", marks.length === 0);
  if (!marks.length) return describe(at);
  let low = Math.min(...marks), high = Math.max(...marks);
  const room = (high / 2 - low / 2) * 0.24 || Math.abs(high) * 0.05 || 1;
  low -= room; high += room;
  if (!Number.isFinite(high - low)) return describe(at);
  const x = (value) => LEFT + Math.max(0, Math.min(1, (value - low) / (high - low))) * WIDTH;
  const zone = (from, to, tone) => {
    const start = from === null ? LEFT : x(from), end = to === null ? LEFT + WIDTH : x(to);
    put(svg, "rect", { x: start, y: TOP, width: Math.max(0, end - start), height: BOTTOM - TOP, class: `zone-${tone}` });
  };
  zone(null, null, at.lsl === null && at.usl === null ? "none" : "bad");
  if (at.lsl !== null || at.usl !== null) zone(at.lsl, at.usl, "good");
  if (bars && bars.bins.length) drawBars(svg, x);
  for (const [name, cls] of [["alarm_min", "alarm"], ["alarm_max", "alarm"], ["lsl", "limit"], ["usl", "limit"], ["target", "target"]]) {
    if (at[name] === null) continue;
    const place = x(at[name]);
    put(svg, "line", { x1: place, x2: place, y1: TOP, y2: BOTTOM, class: `mark-${cls}` });
    const above = cls === "alarm" || cls === "target";
    put(svg, "text", { x: Math.min(Math.max(place, LEFT + 14), LEFT + WIDTH - 14), y: above ? 12 : 115, "text-anchor": "middle", class: `mark-${cls}` }, plain.format(at[name]));
  }
  describe(at);
}
function drawBars(svg, x) {
  const most = Math.max(...bars.bins), step = (bars.high - bars.low) / bars.bins.length;
  bars.bins.forEach((count, place) => {
    if (!count) return;
    const start = x(bars.low + place * step), end = step ? x(bars.low + (place + 1) * step) : start + 4;
    const height = Math.max(1.5, (count / most) * (BOTTOM - TOP - 6));
    put(svg, "rect", { x: start, y: BOTTOM - height, width: Math.max(1, end - start - 0.5), height, class: "bar-count" });
  });
}
function describe(at) {
  const pass = at.lsl === null && at.usl === null ? said.any : between(at.lsl, at.usl);
  const target = at.target === null ? "" : fill(said.target, { target: `${plain.format(at.target)} ${unit()}` }) + " ";
  const alarm = at.alarm_min === null && at.alarm_max === null ? "" : fill(said.alarm, { band: between(at.alarm_min, at.alarm_max) });
  part("spec-band-text").textContent = fill(said.band, { pass, target, alarm });
}

// --- what these limits would have done

let asking = null, timer = null, asked = "";
function limits() {
  return { limits: { lsl: typed("lsl"), usl: typed("usl"), target: typed("target"), unit: unit() || null },
    alarm: { min: typed("alarm_min"), max: typed("alarm_max"), action: input("alarm_action")?.value || null } };
}
function mark(name, message) {
  const field = input(name);
  const id = `spec-error-${name}`;
  part(id)?.remove();
  if (!field) return;
  field.toggleAttribute("aria-invalid", Boolean(message));
  if (message) field.setAttribute("aria-invalid", "true");
  if (!message) { field.removeAttribute("aria-errormessage"); return; }
  const note = document.createElement("p");
  note.id = id; note.className = "spec-error"; note.textContent = message;
  field.setAttribute("aria-errormessage", id);
  (field.closest(".flex-container.fieldBox") ?? field).after(note);
}
function say(sentence, more = "", tone = "") {
  const line = part("spec-sentence");
  line.textContent = sentence;
  line.dataset.tone = tone;
  part("spec-more").textContent = more;
}
function clearMarks() {
  for (const name of [...LIMITS, "alarm_action", "unit"]) mark(name, "");
}
async function ask() {
  const body = JSON.stringify(limits());
  if (body === asked) return;
  asked = body;
  asking?.abort();
  const own = asking = new AbortController();
  const answer = await fetch(said.ask, { method: "POST", signal: own.signal, credentials: "same-origin", body,
    headers: { "Content-Type": "application/json", "X-CSRFToken": input("csrfmiddlewaretoken").value } });
  const told = await answer.json();
  if (own !== asking) return;
  clearMarks();
  if (answer.ok) return tell(told.data);
  part("spec-examples").hidden = true;
  const places = Object.entries(told.error?.details ?? {}).filter(([place]) => PLACES[place]);
  if (answer.status !== 400 || !places.length) return say(told.error?.message ?? said.lost);
  for (const [place, message] of places) mark(PLACES[place], [message].flat().join(" "));
  say(said.wrong, "", "bad");
}
function tell(data) {
  const numbers = (values) => Object.fromEntries(Object.entries(values).map(([key, value]) => [key, counted.format(value)]));
  part("spec-examples").hidden = !data.examples.length;
  if (!data.count) return say(said.empty);
  const count = data.count;
  const before = fill(said.before, numbers({ fail: data.before.fail }));
  const more = [];
  if (data.newlyFailing || data.newlyPassing) more.push(fill(said.newly, numbers({ failing: data.newlyFailing, passing: data.newlyPassing, units: data.units })));
  if (data.after.none) more.push(fill(said.unjudged, numbers({ none: data.after.none, count })));
  if (data.alarmed.before || data.alarmed.after) more.push(fill(said.alarmed, numbers(data.alarmed)));
  more.push(data.truncated ? fill(said.truncated, numbers({ count })) : said.period);
  const tone = data.after.fail > data.before.fail ? "bad" : data.after.fail < data.before.fail ? "good" : "";
  say(`${fill(said.failed, numbers({ fail: data.after.fail, count }))} (${before}).`, more.join(" "), tone);
  const rows = part("spec-examples").querySelector("tbody");
  rows.replaceChildren(...data.examples.slice(0, 20).map(example));
}
function example(one) {
  const row = document.createElement("tr");
  const unitCell = document.createElement("th");
  unitCell.scope = "row";
  if (one.sn) {
    const link = document.createElement("a");
    link.href = `/trace/units/${encodeURIComponent(one.sn)}/`;
    link.textContent = one.sn;
    unitCell.append(link);
  } else unitCell.textContent = "–";
  const cells = [plain.format(one.value), one.before ?? "–", one.after ?? "–"].map((text) => {
    const cell = document.createElement("td");
    cell.textContent = text;
    return cell;
  });
  row.append(unitCell, ...cells);
  return row;
}
function askSoon() {
  clearTimeout(timer);
  if (!said.ask || !isNumber()) return;
  for (const name of LIMITS) {
    const field = input(name);
    if (field && field.validity?.badInput) { mark(name, said.number); return say(said.wrong, "", "bad"); }
  }
  timer = setTimeout(() => ask().catch((error) => { if (error.name !== "AbortError") { asked = ""; say(said.lost); } }), 350);
}
async function readBars() {
  if (!said.values) return;
  const answer = await fetch(said.values, { credentials: "same-origin", headers: { Accept: "application/json" } });
  if (!answer.ok) return;
  const lie = await answer.json();
  if (lie.low === null) return;
  bars = lie;
  part("spec-bars-text").textContent = fill(said.bars, { count: counted.format(lie.count), low: plain.format(lie.low), high: `${plain.format(lie.high)} ${unit()}`, below: counted.format(lie.below), above: counted.format(lie.above) });
  draw();
}

function show() {
  live.hidden = !isNumber();
  if (live.hidden) return;
  draw();
  askSoon();
}
form.addEventListener("input", (event) => { if ([...LIMITS, "unit", "alarm_action"].includes(event.target.name)) show(); });
if (said.ask) say(said.wait);
show();
readBars().catch(() => {});
