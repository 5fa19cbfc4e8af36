"use strict";
// Of where a config applies, only the fields that belong to its scope; lists of names only where they are meant.

document.addEventListener("DOMContentLoaded", () => {
const rowOf = (name) => document.querySelector(`.fieldBox.field-${name}, .form-row.field-${name}`);

const scope = document.getElementById("id_scope");
if (scope?.dataset.places) {
  const places = new Map(scope.dataset.places.split(";").map((entry) => { const [name, fields] = entry.split(":"); return [name, fields ? fields.split(",") : []]; }));
  const all = new Set([...places.values()].flat());
  const show = () => {
    const wanted = places.get(scope.value) ?? [];
    for (const name of all) {
      const row = rowOf(name), belongs = wanted.includes(name);
      if (!row) continue;
      row.hidden = !belongs;
      const line = row.closest(".form-row");
      if (line && line !== row) line.hidden = ![...line.querySelectorAll(".fieldBox")].some((box) => !box.hidden);
      if (!belongs) for (const field of row.querySelectorAll("input, select")) field.value = "";
    }
  };
  scope.addEventListener("change", show);
  show();
}

for (const [mode, name] of [["stations_mode", "allowed_station_codes"], ["specs_mode", "data_spec_names"]]) {
  const radios = document.getElementsByName(mode), row = rowOf(name);
  if (!radios.length || !row) continue;
  const show = () => { row.hidden = ![...radios].some((radio) => radio.checked && radio.value === "exactly"); };
  for (const radio of radios) radio.addEventListener("change", show);
  show();
}
});
