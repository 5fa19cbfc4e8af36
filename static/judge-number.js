"use strict";
// Says of a number, while it is typed, whether it is within its limits. The server judges what is sent by itself.

const NUMBER = /^[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d{1,3})?$/i;

function judgeTyped(field) {
  const said = document.getElementById(field.dataset.judge), text = field.value.trim();
  const number = NUMBER.test(text) ? Number(text.replace(",", ".")) : NaN;
  const { lsl, usl } = field.dataset;
  let verdict = "";
  if (text) verdict = !Number.isFinite(number) ? "none" : (lsl !== "" && number < Number(lsl)) || (usl !== "" && number > Number(usl)) ? "bad" : "good";
  said.textContent = verdict ? said.dataset[verdict] : "";
  said.className = "judge-typed" + (verdict ? " is-" + verdict : "");
}

document.addEventListener("input", (event) => {
  if (event.target.isConnected && event.target.matches("input[data-judge]")) judgeTyped(event.target);
});
