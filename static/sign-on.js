"use strict";
// Signing on at a terminal by badge and PIN, and off; `templates/sign_on/_who.html` has the form. A scanned badge comes as
// `badge-scanned`, or as a scan that begins as printed badges do. Who changed is told by `sign-on-changed`; unless a page
// takes that over, it is loaded anew for the person who is there now.

(() => {
const root = document.getElementById("sign-on");
if (!root) return;
const PREFIX = "LK.U.";
const form = document.getElementById("sign-on-form");
const badge = document.getElementById("sign-on-badge");
const pin = document.getElementById("sign-on-pin");
const refused = document.getElementById("sign-on-refused");
const heardAt = new Map(); // when somebody whose badge is locked is heard again; others are heard meanwhile
let isSending = false, saying = 0;

// The token in the cookie, which changes with the person; those in forms of open pages do not.
const token = () => document.cookie.match(/(?:^|; )csrftoken=([^;]*)/)?.[1] ?? "";

async function send(address, body) {
  const answer = await fetch(address, {
    method: "POST", credentials: "same-origin", body: JSON.stringify(body),
    headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRFToken": token() },
  });
  return { status: answer.status, ...await answer.json() };
}

function changed(here) {
  const event = new CustomEvent("sign-on-changed", { detail: here, cancelable: true });
  if (!document.dispatchEvent(event)) return;
  if (here.person && root.dataset.next) location.assign(root.dataset.next);
  else location.reload();
}

function tell(text) {
  refused.textContent = text;
  refused.hidden = !text;
}

// --- signing on ----------------------------------------------------------------------------------------------

async function signOn() {
  const code = bare(badge.value);
  if (isSending) return;
  if (!code) { badge.focus(); return; }
  if (isLocked(code)) { pin.value = ""; return; }
  if (!pin.value) { pin.focus(); return; }
  isSending = true;
  tell("");
  try {
    const answer = await send("/api/sign-on", { badge: code, pin: pin.value });
    if (answer.status === 200) changed(answer.data);
    else refuse(answer.error, code);
  } catch {
    tell(root.dataset.offline);
  } finally {
    isSending = false;
    pin.value = "";
  }
}

function refuse(error, code) {
  if (error.code === "SIGN_ON_LOCKED") wait(code, error.details.seconds);
  else tell(error.details?.pin ?? error.details?.badge ?? error.message);
  if (error.code === "SIGN_ON_SUPERSEDED") setTimeout(() => location.reload(), 3000);
  pin.focus();
}

const isLocked = (code) => Date.now() < (heardAt.get(code) ?? 0);

function wait(code, seconds) {
  heardAt.set(code, Date.now() + 1000 * seconds);
  sayLocked(code);
}

// Says how long the badge that is named is not heard, second by second.
function sayLocked(code) {
  clearTimeout(saying);
  if (bare(badge.value) !== code) return;
  const left = Math.ceil((heardAt.get(code) - Date.now()) / 1000);
  if (left <= 0) { tell(root.dataset.again); return; }
  tell(root.dataset.wait.replace("{time}", `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`));
  saying = setTimeout(sayLocked, 1000, code);
}

// What was scanned, without the AIM identifier by which some scanners say how they read it.
const read = (text) => text.trim().replace(/^\][A-Za-z][0-9A-Za-z]/, "");

function bare(text) {
  const code = read(text);
  return code.startsWith(PREFIX) ? code.slice(PREFIX.length).trim() : code;
}

function takeBadge(code) {
  if (!form) return;
  const fold = form.closest("details");
  if (fold) fold.open = true;
  badge.value = bare(code);
  pin.value = "";
  showBadge();
  pin.focus();
}

// What is said of the badge that was named before goes.
function showBadge() {
  const code = bare(badge.value);
  tell("");
  if (isLocked(code)) sayLocked(code);
}

document.addEventListener("badge-scanned", (event) => takeBadge(event.detail.badge));
document.addEventListener("scan", (event) => {
  const text = read(event.detail.text);
  const isBadge = text.startsWith(PREFIX) || event.detail.field === badge;
  if (!form || event.defaultPrevented || !isBadge) return;
  event.preventDefault();
  takeBadge(text);
});

if (form) {
  form.addEventListener("submit", (event) => { event.preventDefault(); signOn(); });
  badge.addEventListener("input", showBadge);
  badge.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !badge.value.trim()) return;
    event.preventDefault();
    takeBadge(badge.value);
  });
  form.addEventListener("click", (event) => {
    const key = event.target.closest("[data-digit], [data-clear]");
    if (!key) return;
    pin.value = "digit" in key.dataset ? (pin.value + key.dataset.digit).slice(0, pin.maxLength) : "";
  });
}

// --- signing off ---------------------------------------------------------------------------------------------

document.getElementById("sign-off")?.addEventListener("click", async () => {
  try {
    const answer = await send("/api/sign-off", {});
    if (answer.status === 200) changed(answer.data);
  } catch {
    document.getElementById("offline")?.removeAttribute("hidden");
  }
});

// When the time without an act is over, the server knows whether there was one, from another page too.
function watch(until) {
  const left = Math.max(1000 * until - Date.now(), 0) + 1000;
  setTimeout(async () => {
    try {
      const answer = await fetch("/api/sign-on", { credentials: "same-origin", headers: { Accept: "application/json" } });
      const here = (await answer.json()).data;
      if (here.person !== root.dataset.person) changed(here);
      else if (here.until) watch(Date.parse(here.until) / 1000);
    } catch {
      watch(Date.now() / 1000 + 30); // nothing is taken from the page while nobody answers
    }
  }, Math.min(left, 2 ** 31 - 1));
}

// Somebody who types for long sends nothing meanwhile and is there all the same: told when a third of the time is over.
let until = Number(root.dataset.until);

async function stay() {
  if (!until || 1000 * until - Date.now() > 667 * Number(root.dataset.idle)) return;
  const before = until;
  until = 0; // one asks at a time
  try {
    const answer = await send("/api/sign-on/stay", {});
    until = answer.status === 200 && answer.data.until ? Date.parse(answer.data.until) / 1000 : 0;
  } catch {
    until = before;
  }
}

if (until) {
  watch(until);
  for (const name of ["keydown", "pointerdown"]) document.addEventListener(name, stay, { passive: true, capture: true });
}
})();
