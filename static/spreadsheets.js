"use strict";
// A sheet takes a while: the button says so, and is pressed once.
document.addEventListener("submit", (event) => {
  const { busy } = event.target.dataset;
  const button = busy && event.target.querySelector("button[type=submit]");
  if (!button) return;
  button.disabled = true;
  button.textContent = busy;
});
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
