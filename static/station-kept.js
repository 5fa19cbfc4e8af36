"use strict";
// What a station's page keeps in the browser, over reloads and the same in all tabs: units in work, which of them is
// chosen, those that were sent (by entry), the last form of the station. Each tab keeps what it told last.

function openStationKept(code) {
  const name = `station:${code}`, none = () => ({ units: [], chosen: null, sent: {}, form: null });
  const kept = { ...none(), ...read() };
  let written = null; // as it was kept last, here or by another tab
  let turn = 0; // how often another tab has changed the unit that is chosen

  function read() {
    try { return JSON.parse(localStorage.getItem(name)) ?? {}; } catch { return {}; }
  }
  const readTold = () => JSON.parse(sessionStorage.getItem(name));

  function keep(told) {
    const text = JSON.stringify(kept);
    try {
      sessionStorage.setItem(name, JSON.stringify(told?.state === "done" ? told : null)); // over a reload
      if (text !== written) localStorage.setItem(name, text);
      written = text;
    } catch (error) {
      console.warn("What is typed is not kept over a reload.", error); // entries are kept elsewhere
    }
  }

  // Before anything is changed, read what another tab wrote; whether one did. What is drawn of the unit that is chosen is
  // about its object: as long as it stays the same, so does that.
  function sync() {
    const text = localStorage.getItem(name);
    if (text === written) return false;
    const before = chosenUnit();
    written = text;
    Object.assign(kept, none(), JSON.parse(text ?? "{}"));
    const now = chosenUnit();
    if (markOf(now) !== markOf(before)) turn += 1;
    else if (now) kept.units[kept.units.indexOf(now)] = Object.assign(before, { ...now, typed: before.typed, defects: before.defects });
    return true;
  }
  const markOf = (unit) => JSON.stringify(unit && [unit.key, unit.state, unit.specs, unit.typed, unit.defects, unit.picking]);

  const chosenUnit = () => kept.units.find((unit) => unit.key === kept.chosen) ?? null;
  const findUnit = (sn) => kept.units.find((unit) => unit.sn === sn || unit.key === sn || unit.labels.includes(sn)) ?? null;
  const fresh = ({ key }) => kept.units.find((unit) => unit.key === key) ?? null; // another tab may have written meanwhile

  function drop({ key }) {
    kept.units = kept.units.filter((unit) => unit.key !== key);
    if (kept.chosen === key) kept.chosen = null;
  }

  return { name, kept, turn: () => turn, readTold, keep, sync, chosenUnit, findUnit, fresh, drop };
}
