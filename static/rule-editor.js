"use strict";
// The form of a rule shows only what its events have, says the rule in words while one types, and tries it on what happened.

(() => {
  const trial = document.querySelector(".rule-trial");
  if (!trial) return;
  const form = trial.closest("form");
  const answer = trial.querySelector(".trial-answer");
  const button = trial.querySelector("[data-try]");
  const busy = trial.querySelector(".trial-busy");
  const field = (name) => form.querySelector(`[name="${name}"]`);

  // What is hidden is switched off as well, so that it is not sent.
  function show(element, visible) {
    element.hidden = !visible;
    for (const input of element.querySelectorAll("input, select, textarea")) input.disabled = !visible;
  }

  function fit() {
    for (const which of ["start", "end"]) {
      const event = field(`${which}_event`);
      if (!event) continue;
      for (const group of form.querySelectorAll(`#id_${which}_condition .condition-group`)) {
        show(group, group.dataset.events.split(" ").includes(event.value));
      }
    }
    for (const input of form.querySelectorAll("[data-only-with]")) {
      const [name, values] = input.dataset.onlyWith.split("=");
      const decides = field(name);
      if (decides) show(input.closest(".fieldBox, .form-row, .flex-container") || input.parentElement, values.split(" ").includes(decides.value));
    }
    const scope = field("scope"), value = field("scope_value");
    if (scope && value) {
      value.setAttribute("list", `scope-values-${scope.value}`);
      const row = value.closest(".fieldBox, .form-row, .flex-container");
      show(row || value.parentElement, scope.value !== "GLOBAL");
    }
  }

  let asked = 0;
  async function ask(wholly) {
    if (!trial.dataset.trial) return;
    const mine = ++asked;
    const body = new FormData(form);
    if (wholly) body.set("_try", "1");
    if (busy) busy.hidden = !wholly;
    try {
      const response = await fetch(trial.dataset.trial, { method: "POST", body, headers: { "X-Requested-With": "fetch" } });
      const text = await response.text();
      if (mine !== asked) return;
      answer.innerHTML = response.ok ? text : answer.dataset.failed || "";
    } catch {
      // The server does not answer: what is shown stays.
    } finally {
      if (busy && mine === asked) busy.hidden = true;
    }
  }

  let waiting;
  function later() {
    clearTimeout(waiting);
    waiting = setTimeout(() => ask(false), 400);
  }

  form.addEventListener("input", () => { fit(); later(); });
  form.addEventListener("change", () => { fit(); later(); });
  if (button) button.addEventListener("click", () => { clearTimeout(waiting); ask(true); });
  fit();
})();
