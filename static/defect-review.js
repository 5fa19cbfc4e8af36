"use strict";
// The review of defects by keyboard: F false call, D real and what to do, arrows to the next one and back.

const REVIEW_KEYS = { f: "review-false", d: "review-real", ArrowRight: "review-next", ArrowLeft: "review-previous" };
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || isTyping(event.target)) return;
  const target = document.getElementById(REVIEW_KEYS[event.key] ?? "");
  if (!target || event.key.length === 1) return;
  event.preventDefault();
  target.click();
});
// A letter that stands alone: a scan has them, too.
document.addEventListener("lone-key", ({ detail: { key, target, isModified } }) => {
  if (!isModified && !isTyping(target)) document.getElementById(REVIEW_KEYS[key.toLowerCase()] ?? "")?.click();
});

document.getElementById("review-real")?.addEventListener("click", (event) => {
  event.preventDefault();
  const act = document.querySelector("#real details");
  if (!act) return;
  act.open = true;
  act.querySelector("textarea")?.focus();
});

// A decision is sent once, however often the key is pressed until the next page comes.
document.getElementById("review-false")?.form.addEventListener("submit", (event) => {
  if (event.target.dataset.isSent) event.preventDefault();
  event.target.dataset.isSent = "1";
});

function isTyping(element) {
  return element.matches?.("input:not([type=radio]):not([type=checkbox]), textarea, select, [contenteditable]") ?? false;
}
