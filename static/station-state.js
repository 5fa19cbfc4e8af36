"use strict";
// The one state of a station, in words, symbol and colour: what each looks like, why something was refused and who releases
// it, where a unit goes next.

const stationState = {
  config: {},
  shown: "",
  LOOKS: { // tone and symbol
    scan: ["next", "search"],
    asking: ["wait", "wait"],
    unchecked: ["hold", "doubt"],
    in: ["work", "work"],
    refused: ["hold", "hold"],
    sending: ["wait", "wait"],
    kept: ["hold", "wait"],
    passed: ["good", "pass"],
    failed: ["bad", "fail"],
    left: ["wait", "ahead"],
    looking: ["wait", "ahead"],
    not_recorded: ["bad", "alarm"],
  },

  say(name, parts) {
    return stationForm.say(name, parts);
  },
  show(look, line, sn, more, acts = []) {
    const [tone, symbol] = this.LOOKS[look], part = (id) => document.getElementById(id);
    part("state").className = `station-state tone-${tone}`;
    part("state").dataset.state = look;
    part("state-sign").replaceChildren(makeSymbol(symbol));
    part("state-line").textContent = line;
    part("state-sn").textContent = sn ?? "";
    part("state-sn").hidden = !sn;
    part("state-more").replaceChildren(...more.filter(Boolean).map((text) => makeElement("p", { textContent: text })));
    part("state-do").replaceChildren(...acts);
    if (this.shown !== `${look} ${sn}`) scrollTo({ top: 0 }); // what is new is seen, wherever somebody had scrolled to
    this.shown = `${look} ${sn}`;
  },

  // --- the states ---
  looking() {
    this.show("looking", this.say("looking"), null, [this.say("looking_more")]);
  },
  scan(hasUnits) {
    this.show("scan", this.say("scan"), null, [this.nextScan(hasUnits)]);
  },
  nextScan(hasUnits) {
    return this.say(hasUnits ? "scan_chosen" : "scan_more");
  },
  unit(unit, isHeld) {
    if (unit.state === "asking") return this.show("asking", this.say("asking"), unit.sn, [this.say("asking_more")]);
    const step = unit.operation ? this.say("in_work_step", { no: unit.stepNo, name: unit.operation.name }) : "";
    const attempt = unit.attempt > 1 ? this.say("in_work_attempt", { attempt: unit.attempt }) : "";
    const about = [step, attempt].filter(Boolean).join(", ");
    if (isHeld) return this.show("refused", this.config.heads.UNIT_ON_HOLD, unit.sn, [about, this.say("held_here")]);
    if (unit.state === "unchecked") return this.show("unchecked", this.say("unchecked"), unit.sn, [about, this.say("unchecked_more")]);
    return this.show("in", this.say("in_work"), unit.sn, [about]);
  },
  sending({ sn }) {
    this.show("sending", this.say("sending"), sn, [this.say("sending_more", { sn })]);
  },
  kept({ sn, result }) {
    this.show("kept", this.say("kept"), sn, [this.say("kept_more", { sn, result: this.say(result === "PASS" ? "entry_pass" : "entry_fail") })]);
  },
  left({ sn }, hasUnits) {
    this.show("left", this.say("left"), sn, [this.say("left_more", { sn }), this.nextScan(hasUnits)]);
  },
  done({ sn, claimed, answer, steps, stepNo }, hasUnits, acts) {
    const isPass = answer.result === "PASS", isOverruled = !isPass && claimed === "PASS", isByData = answer.resultOverride === "DATA";
    const line = isPass ? "passed" : isOverruled && isByData ? "failed_by_data" : "failed";
    const why = isOverruled ? this.say(isByData ? "failed_by_data_more" : "failed_by_other_more") : "";
    this.show(isPass ? "passed" : "failed", this.say(line), sn, [why, this.nextInWords(answer, steps, stepNo), ...(answer.problems ?? []), this.nextScan(hasUnits)], acts);
  },
  nextInWords({ status, nextStepNo }, steps, stepNo) {
    const ends = { ON_HOLD: "next_held", DONE: "next_done", OUT_FAILED: "next_decision" };
    if (ends[status]) return this.say(ends[status]);
    if (nextStepNo === null || nextStepNo === undefined) return "";
    const name = steps?.find((step) => step.stepNo === nextStepNo)?.name ?? "";
    return this.say(nextStepNo === stepNo ? "next_same" : "next_step", { no: nextStepNo, name });
  },
  refused({ sn, kind, error }, acts) {
    const isIn = kind === "track-in", head = error.code === "VALIDATION_ERROR" && !error.details?.sn ? "" : this.config.heads[error.code], line = this.say(isIn ? "not_here" : "not_recorded");
    this.show(isIn ? "refused" : "not_recorded", head ? `${line}: ${head}` : line, sn, this.factsOf(error), acts);
  },

  // Why something was refused, and who releases it: all reasons where they were told, else the first. Who releases all of
  // them is told once.
  factsOf(error) {
    const reasons = error.details?.reasons ?? [{ code: error.code, message: this.messageOf(error) }];
    const releases = reasons.map((reason) => this.releaseOf(reason)), isOne = new Set(releases).size === 1;
    const facts = reasons.flatMap((reason, place) => [reason.message + this.holdOf(reason), isOne ? "" : releases[place]]);
    return [...facts, isOne ? releases[0] : "", error.details?.held ? this.say("held_for_it") : ""];
  },
  messageOf({ code, message, details }) {
    if (code === "NOT_TAKEN") return this.say("not_taken", details); // told by this browser (`entries.js`)
    return code === "VALIDATION_ERROR" && details ? Object.values(details).flat().join(" ") : message;
  },
  holdOf({ holdNo }) {
    return holdNo ? ` (${this.say("by_hold", { no: holdNo })})` : "";
  },
  releaseOf({ code, releasableBy }) {
    const who = releasableBy?.map((role) => this.config.roles[role] ?? role) ?? this.config.releases[code];
    if (who?.length) return this.say("released_by", { who: who.join(", ") });
    return who ? this.say("released_by_none") : "";
  },
};
