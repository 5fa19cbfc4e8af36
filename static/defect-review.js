"use strict";
// The review of defects by keyboard: F false call, D real and what to do, arrows to the next one and back.

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || isTyping(event.target)) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const target = document.getElementById({ f: "review-false", d: "review-real", ArrowRight: "review-next", ArrowLeft: "review-previous" }[key] ?? "");
  if (!target) return;
  event.preventDefault();
  target.click();
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
