"use strict";
// What people enter at a station: kept in the browser (IndexedDB) before it is sent, and until it is answered. Entries are
// sent one after the other in the order in which they were made, by one tab at a time. The server does each once, by its
// `entryId`: what got no answer is simply sent again, after a reload or a change of person too.
//
// What the server refuses stays until a person settles it; later entries of its serial number wait, others go on. What
// nobody may send (401, 403), or nobody answers, stops all: it waits until somebody has signed in, or the server answers.

(() => {
  const KEPT = "station-entries", CHANNEL = "station-entries", TURN = "station-entries";
  const TRACK = { "track-in": "track-in?form=true", "track-out": "track-out" };
  const PATIENCE = 20_000, LEASE = 30_000; // milliseconds: for an answer; as long as a tab's turn may take for one entry
  const PAUSES = [1, 2, 4, 8, 15, 30].map((seconds) => seconds * 1000);
  const SIGN_IN_AGAIN = 60_000; // another tab may have signed in, or an administrator given back what was taken away
  const WAITING = "WAITING", SENDING = "SENDING", REFUSED = "REFUSED";
  const NETWORK = "NETWORK", BUSY = "BUSY", SIGN_IN = "SIGN_IN"; // why entries wait
  const HASTE = 2000; // milliseconds
  const MOST_TRIES = 6; // of what the server itself never answers
  const TRY_LATER = [408, 425, 429];
  const NOT_TAKEN = [400, 413, 414, 431]; // by what stands between: of this entry, not of all

  // --- the store ---------------------------------------------------------------------------------------------

  let opening = null;
  function open() {
    opening ??= new Promise((resolve, reject) => {
      const asked = indexedDB.open(KEPT, 1);
      asked.onupgradeneeded = () => {
        asked.result.createObjectStore("entries", { keyPath: "order", autoIncrement: true }).createIndex("entryId", "entryId", { unique: true });
        asked.result.createObjectStore("notes", { keyPath: "name" }); // the clock, and whose turn it is
      };
      asked.onsuccess = () => {
        const base = asked.result;
        base.onversionchange = () => { base.close(); opening = null; };
        base.onclose = () => { opening = null; };
        resolve(base);
      };
      asked.onerror = () => reject(asked.error);
    }).catch((error) => { opening = null; throw error; });
    return opening;
  }

  // Do something in one transaction, which is on the disk when this is done; return what `work` gave to its callback.
  async function within(store, mode, work) {
    const base = await open();
    return new Promise((resolve, reject) => {
      const change = base.transaction(store, mode, { durability: mode === "readwrite" ? "strict" : "default" });
      let result;
      work(change.objectStore(store), (value) => { result = value; });
      change.oncomplete = () => resolve(result);
      change.onerror = change.onabort = () => reject(change.error || new Error("not kept"));
    });
  }

  const readAll = () => within("entries", "readonly", (entries, give) => {
    entries.getAll().onsuccess = (event) => give(event.target.result);
  });

  // Change the entry of an id by a function that returns it changed, null to take it away, undefined to leave it; return
  // whether it was changed.
  const change = (entryId, by) => within("entries", "readwrite", (entries, give) => {
    entries.index("entryId").get(entryId).onsuccess = (event) => {
      const entry = event.target.result, changed = entry && by(entry);
      give(changed !== undefined);
      if (changed === null) entries.delete(entry.order);
      else if (changed) entries.put(changed);
    };
  });

  // --- the clock ---------------------------------------------------------------------------------------------
  // By how much the server's clock is ahead of this one, as an interval: each answer says in which second it was written,
  // after the question and before its arrival. What they have in common is kept; where they have nothing, a clock was
  // put right, and the newest counts.

  let ahead = null;
  const clockKept = within("notes", "readonly", (notes, give) => {
    notes.get("clock").onsuccess = (event) => give(event.target.result);
  }).then((kept) => { if (kept) ahead ??= { from: kept.from, to: kept.to }; }, () => {});

  function hearClock(date, asked, answered) {
    const second = Date.parse(date);
    if (Number.isNaN(second)) return;
    const heard = { from: second - answered, to: second + 1000 - asked };
    const both = ahead && { from: Math.max(ahead.from, heard.from), to: Math.min(ahead.to, heard.to) };
    const known = both && both.from <= both.to ? both : heard;
    const isNews = !ahead || known.from !== ahead.from || known.to !== ahead.to;
    ahead = known;
    if (isNews) within("notes", "readwrite", (notes) => notes.put({ name: "clock", ...known })).catch(() => {});
  }

  // The server's time now, or at a time of this clock; null where no answer was ever heard.
  const serverTime = (here = Date.now()) => (ahead ? new Date(here + (ahead.from + ahead.to) / 2) : null);

  // --- tell --------------------------------------------------------------------------------------------------

  const others = "BroadcastChannel" in window ? new BroadcastChannel(CHANNEL) : null;
  const dispatch = (name, detail) => document.dispatchEvent(new CustomEvent(name, { detail }));
  function tell(name, detail = null) {
    dispatch(name, detail);
    others?.postMessage({ name, detail });
  }
  if (others) others.onmessage = ({ data }) => {
    if (data.name === "entries-offline") { state = data.detail; failures = state.failures; }
    if (data.name === "entries-online") { state = null; failures = 0; }
    dispatch(data.name, data.detail);
    if (data.name === "entries-changed" && !timer) plan(PAUSES[1]); // whoever sends it may be closed before it is through
  };

  let state = null; // why entries wait, as this tab heard last
  let failures = 0; // in a row
  async function setState(reason, error = null) {
    if (!reason && !state) return;
    const waiting = (await readAll()).filter((entry) => entry.state !== REFUSED).length;
    state = reason ? { reason, error, waiting, failures } : null;
    tell(reason ? "entries-offline" : "entries-online", state ?? { waiting });
  }

  // --- one tab at a time -------------------------------------------------------------------------------------
  // By a lock of the browser; where it has none (a page that is not https), by a lease in the store.

  const tab = Math.random().toString(36).slice(2);
  const takeLease = () => within("notes", "readwrite", (notes, give) => {
    notes.get("turn").onsuccess = (event) => {
      const turn = event.target.result, free = !turn || turn.tab === tab || turn.until < Date.now() || turn.until > Date.now() + LEASE;
      give(free);
      if (free) notes.put({ name: "turn", tab, until: Date.now() + LEASE });
    };
  });
  const endLease = () => within("notes", "readwrite", (notes) => {
    notes.get("turn").onsuccess = (event) => { if (event.target.result?.tab === tab) notes.delete("turn"); };
  });

  // Work while it is this tab's turn, which `work` asks whether it still is; return whether it was.
  async function inTurn(work) {
    if (navigator.locks) return navigator.locks.request(TURN, async () => { await work(() => true); return true; });
    if (!(await takeLease())) return false;
    try {
      await work(takeLease);
    } finally {
      await endLease().catch(() => {});
    }
    return true;
  }

  // --- send --------------------------------------------------------------------------------------------------

  const csrf = () => document.cookie.match(/(?:^|; )csrftoken=([^;]*)/)?.[1] ?? document.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "";

  async function post(entry, token) {
    const asked = Date.now(), patience = new AbortController();
    const timer = setTimeout(() => patience.abort(), PATIENCE);
    try {
      const answer = await fetch(`/api/stations/${encodeURIComponent(entry.stationCode)}/${TRACK[entry.kind]}`, {
        method: "POST",
        credentials: "same-origin",
        redirect: "manual", // to sign in: nothing came of it
        headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRFToken": token },
        body: JSON.stringify({ ...entry.body, sn: entry.sn, entryId: entry.entryId, at: entry.at, operatorId: entry.operatorId || null }),
        signal: patience.signal,
      });
      hearClock(answer.headers.get("Date"), asked, Date.now());
      const said = await answer.json().catch(() => null);
      return { status: answer.status, said, pause: Number(answer.headers.get("Retry-After")) * 1000 || 0 };
    } catch {
      return { status: 0, said: null, pause: 0 };
    } finally {
      clearTimeout(timer);
    }
  }

  // What an answer means. Only what has the shape of this server's answers counts: what stands between may answer too.
  function meaning({ status, said, pause }) {
    if (status >= 200 && status < 300 && said?.ok === true) {
      const { data } = said; // what somebody dismissed meanwhile is answered, and was not done
      return data?.isDismissed ? { end: "refused", error: { code: "DISMISSED", message: data.message, details: {} } } : { end: "done", status, answer: data };
    }
    const error = said?.ok === false && said.error?.code ? { code: said.error.code, message: said.error.message, details: said.error.details } : null;
    if (status === 401 || status === 403) return { end: "stop", reason: SIGN_IN, error, pause: SIGN_IN_AGAIN };
    if (!error && !NOT_TAKEN.includes(status)) return { end: "stop", reason: NETWORK, error, pause };
    if (!error) return { end: "later", error, isNotTaken: true, status };
    if (status === 500) return { end: "later", error }; // this entry alone, perhaps
    if (status > 500 || TRY_LATER.includes(status)) return { end: "stop", reason: BUSY, error, pause };
    return { end: "refused", error };
  }

  async function send(entry) {
    const token = csrf(), first = meaning(await post(entry, token));
    const isForged = first.end === "stop" && first.reason === SIGN_IN && csrf() !== token;
    return isForged ? meaning(await post(entry, csrf())) : first; // somebody signed in, in another tab perhaps
  }

  // What stands between refuses this entry, however often it is sent: a person has to look at it. The page says so in words.
  function givenUp(entry, met) {
    if (!met.isNotTaken || entry.sent < MOST_TRIES) return met;
    return { end: "refused", error: { code: "NOT_TAKEN", message: "", details: { status: met.status } } };
  }

  // By what entries of one unit are kept in their order: its label without the mark of a symbology, or its serial number
  // once that was answered.
  const plain = (sn) => sn.replace(/^\s*\][A-Za-z][0-9A-Za-z]/, "").trim();
  const unitOf = (entry) => entry.unit ?? plain(entry.sn);

  // After a track-in was answered: what follows it is of that unit, and its track-out is about that track.
  const nameFollowing = (first, answer) => within("entries", "readwrite", (entries) => {
    entries.getAll(IDBKeyRange.lowerBound(first.order, true)).onsuccess = ({ target: { result } }) => {
      let isOfTrack = true;
      for (const entry of result.filter((each) => unitOf(each) === unitOf(first) && each.sent === 0)) {
        isOfTrack &&= entry.kind === "track-out" && entry.stationCode === first.stationCode;
        if (isOfTrack && answer.trackId) entry.body = { trackId: answer.trackId, ...entry.body };
        if (answer.sn) entry.unit = plain(answer.sn);
        entries.put(entry);
      }
    };
  });

  // The entries that need nobody before they are sent: an entry waits behind an earlier one of its serial number that is
  // refused, or that `waits` for its own next time.
  function sendable(entries, waits = () => false) {
    const behind = new Set();
    return entries.filter((entry) => {
      const unit = unitOf(entry), isNext = !behind.has(unit) && entry.state !== REFUSED && !waits(entry);
      if (!isNext) behind.add(unit);
      return isNext;
    });
  }

  // The first entry that may be sent now, noted as on its way; undefined where there is none.
  const takeNext = () => within("entries", "readwrite", (entries, give) => {
    const now = Date.now(), isLater = (entry) => entry.notBefore > now && entry.notBefore < now + 2 * PAUSES.at(-1);
    entries.getAll().onsuccess = (event) => {
      const [entry] = sendable(event.target.result, isLater);
      if (!entry) return;
      entry.state = SENDING;
      entry.sent += 1;
      entry.at ??= serverTime(entry.madeAt)?.toISOString() ?? null; // the same whenever it is sent again
      entries.put(entry);
      give(entry);
    };
  });

  const isIt = (entry) => ({ entryId: entry.entryId, stationCode: entry.stationCode, kind: entry.kind, sn: entry.sn });
  const pauseAfter = (tries) => PAUSES[Math.min(tries, PAUSES.length) - 1] ?? 0;

  // Send what may be sent. Returns after how many milliseconds to go on, where something stopped it.
  async function sendAll(keepTurn) {
    for (;;) {
      if (!(await keepTurn())) return 0;
      if (!ahead) await learnClock();
      if (!ahead) { failures += 1; await setState(NETWORK); return pauseAfter(failures); }
      const entry = await takeNext();
      if (!entry) {
        if (state?.reason === NETWORK && navigator.onLine) await setState(null); // nothing is kept back by it
        return 0;
      }
      const met = givenUp(entry, await send(entry));
      if (met.end === "done") {
        await change(entry.entryId, () => null);
        if (entry.kind === "track-in") await nameFollowing(entry, met.answer);
        tell("entry-answered", { ...isIt(entry), status: met.status, answer: met.answer });
      } else if (met.end === "refused") {
        await change(entry.entryId, () => ({ ...entry, state: REFUSED, error: met.error }));
        tell("entry-refused", { ...isIt(entry), error: met.error });
      } else {
        const notBefore = met.end === "later" ? Date.now() + pauseAfter(entry.sent) : 0;
        await change(entry.entryId, () => ({ ...entry, state: WAITING, error: met.error, notBefore }));
      }
      tell("entries-changed");
      if (met.end === "stop") {
        failures += 1;
        await setState(met.reason, met.error);
        return Math.max(met.pause, pauseAfter(failures));
      }
      failures = 0;
      await setState(null);
    }
  }

  // Before the first entry of a browser that has never heard an answer: its time would be no better than its clock.
  async function learnClock() {
    const asked = Date.now();
    try {
      const answer = await fetch("/healthz", { method: "HEAD", cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
      hearClock(answer.headers.get("Date"), asked, Date.now());
    } catch { /* it does not answer */ }
  }

  // --- when --------------------------------------------------------------------------------------------------

  let timer = 0, isBusy = false, isWanted = false;

  // Send what waits, now. One run at a time in this tab; what is asked for meanwhile is looked at after it.
  async function go() {
    isWanted = true;
    if (isBusy) return;
    isBusy = true;
    stopTimer();
    let pause = 0;
    try {
      await clockKept;
      while (isWanted) {
        isWanted = false;
        const hadTurn = await inTurn(async (keepTurn) => { pause = await sendAll(keepTurn); });
        if (!hadTurn) pause = PAUSES[0] / 2; // another tab sends
      }
    } catch (error) {
      console.warn("Entries could not be read.", error);
      pause = PAUSES.at(-1);
    } finally {
      isBusy = false;
    }
    await plan(pause);
  }

  // Go on after a pause while something is left to send.
  async function plan(pause) {
    const left = sendable(await readAll().catch(() => []));
    stopTimer();
    if (left.length) timer = setTimeout(go, Math.max(pause, Math.min(...left.map(untilItsTime)), 100) * (1 + Math.random() / 10));
  }
  const untilItsTime = (entry) => Math.min(Math.max((entry.notBefore || 0) - Date.now(), PAUSES[0]), PAUSES.at(-1));

  function stopTimer() {
    clearTimeout(timer);
    timer = 0;
  }

  addEventListener("offline", () => setState(NETWORK));
  addEventListener("online", () => { failures = 0; go(); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) go(); });
  addEventListener("pageshow", go);

  // --- what a page may do ------------------------------------------------------------------------------------

  function newId() {
    if (crypto.randomUUID) return crypto.randomUUID();
    const bytes = crypto.getRandomValues(new Uint8Array(16)); // a page that is not https has no more
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    return Array.from(bytes, (byte, index) => ([4, 6, 8, 10].includes(index) ? "-" : "") + byte.toString(16).padStart(2, "0")).join("");
  }

  let isAsked = false;
  function askToKeep() { // a full disk shall not cost what waits
    if (!isAsked) navigator.storage?.persist?.().catch(() => {});
    isAsked = true;
  }

  let lastMade = 0;
  // Keep an entry and send it; return its id once it is kept. Rejects where the browser keeps nothing: then it is not sent.
  async function add({ stationCode, kind, sn, body = {}, operatorId = "" }) {
    if (!TRACK[kind]) throw new Error(`no kind of entry: ${kind}`);
    const now = Date.now(), isOfNow = Math.abs(lastMade - now) < HASTE; // else the clock was put right meanwhile
    const madeAt = (lastMade = isOfNow ? Math.max(now, lastMade + 1) : now); // of two, the later is later
    await clockKept;
    const at = serverTime(madeAt)?.toISOString() ?? null;
    const entry = { entryId: newId(), stationCode, kind, sn, body, operatorId, madeAt, at, state: WAITING, error: null, sent: 0, notBefore: 0 };
    await within("entries", "readwrite", (entries) => entries.add(entry));
    askToKeep();
    tell("entries-changed");
    if (state) await setState(state.reason, state.error);
    if (!state || state.reason === SIGN_IN || navigator.onLine) go();
    return entry.entryId;
  }

  const shown = (entry) => ({ ...isIt(entry), at: entry.at ?? new Date(entry.madeAt).toISOString(), operatorId: entry.operatorId, state: entry.state, error: entry.error, body: entry.body });

  // The entries of a station, or all, in the order in which they were made.
  const list = async (stationCode = null) => (await readAll()).filter((entry) => stationCode === null || entry.stationCode === stationCode).map(shown);

  async function changed(entryId, by) {
    const is = await change(entryId, by);
    if (is) { tell("entries-changed"); go(); }
    return is;
  }
  // Take a refused entry away; whether there was one.
  const settle = (entryId) => changed(entryId, (entry) => (entry.state === REFUSED ? null : undefined));
  // Send a refused entry once more, unchanged: somebody has mended what it was refused for.
  const retry = (entryId) => changed(entryId, (entry) => (entry.state === REFUSED ? { ...entry, state: WAITING, error: null } : undefined));

  // Learn from an answer that the page got otherwise that the server is there, and what time it is there.
  function heard(response, asked) {
    if (asked) hearClock(response.headers.get("Date"), asked, Date.now());
    if (state?.reason === NETWORK && !isBusy) { failures = 0; go(); }
  }

  window.entries = { add, list, settle, retry, heard, now: () => serverTime() ?? new Date(), status: () => state };
  go();
})();
