"use strict";
// What the station page says by tone: short, told apart without looking, made by the browser. Each browser remembers
// whether it is muted.

const stationTones = {
  KEPT: "station-sound",
  // frequency in Hz, length in seconds, one after the other; with a shape of the wave
  TONES: {
    taken: [[880, 0.09]],
    good: [[660, 0.09], [990, 0.16]],
    fail: [[440, 0.14], [294, 0.24]],
    bad: [[196, 0.16, "square"], [0, 0.05], [196, 0.3, "square"]],
    said: [[520, 0.07]],
  },
  context: null,

  get isMuted() {
    return localStorage.getItem(this.KEPT) === "off";
  },
  set isMuted(muted) {
    localStorage.setItem(this.KEPT, muted ? "off" : "on");
  },
  // A button that says whether there is sound, and turns it off and on.
  listen(button, say) {
    const show = () => {
      button.setAttribute("aria-pressed", !this.isMuted);
      button.querySelector("span").textContent = say(this.isMuted ? "sound_off" : "sound_on");
    };
    button.addEventListener("click", () => { this.isMuted = !this.isMuted; show(); this.play("said"); });
    show();
  },
  play(name) {
    document.documentElement.dataset.tone = name; // what was played last, for who looks
    if (this.isMuted) return;
    try {
      this.context ??= new AudioContext();
      this.context.resume();
      this.sound(this.TONES[name]);
    } catch { /* a browser without sound still shows everything */ }
  },
  sound(notes) {
    let at = this.context.currentTime + 0.01;
    for (const [pitch, length, shape = "sine"] of notes) {
      if (pitch) this.note(pitch, at, length, shape);
      at += length;
    }
  },
  note(pitch, at, length, shape) {
    const source = this.context.createOscillator(), volume = this.context.createGain();
    source.type = shape;
    source.frequency.value = pitch;
    volume.gain.setValueAtTime(0.0001, at);
    volume.gain.exponentialRampToValueAtTime(shape === "square" ? 0.12 : 0.3, at + 0.015); // without a click
    volume.gain.exponentialRampToValueAtTime(0.0001, at + length);
    source.connect(volume).connect(this.context.destination);
    source.start(at);
    source.stop(at + length);
  },
};
