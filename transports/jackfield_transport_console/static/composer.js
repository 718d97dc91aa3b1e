// Typing and recording: into the call where there is one, else through the form.

import { Recording } from "./clip.js";
import { $, announce, calm, fail, label, show, warn } from "./screen.js";
import { canRecord } from "./trouble.js";
import { showFacts } from "./waterfall.js";

export class Composer {
  /** A Chat, or null where there is no door for messages. */
  chat = null;
  #log;
  #calls;
  #longestMs;
  #recording = null;

  constructor(log, calls, longestMs) {
    this.#log = log;
    this.#calls = calls;
    this.#longestMs = longestMs;
    $("composer").addEventListener("submit", (event) => this.#submit(event));
    $("record").addEventListener("click", () => this.#record());
    $("discard").addEventListener("click", () => this.#discard());
    document.addEventListener("keydown", (event) => event.key === "Escape" && this.#discard());
  }

  /** Begin with a Chat, or with none. */
  open(chat) {
    this.chat = chat;
    $("record").hidden = !chat || !canRecord();
    $("talk-hint").textContent = hint(this.#calls.offered, Boolean(chat), !$("record").hidden);
  }

  /** Throw away what was being recorded. */
  async drop() {
    const recording = this.#recording;
    if (!recording) return;
    this.#ended();
    (await recording.catch(() => null))?.end();
  }

  async #submit(event) {
    event.preventDefault();
    const text = $("message").value.trim();
    if (!text) return;
    calm();
    if (!this.#calls.say(text)) {
      if (!this.chat) {
        warn("Typed messages go through a call here: press Call first.");
        return;
      }
      this.#exchange(text, () => this.chat.say(text));
    }
    $("message").value = "";
  }

  /** Send something through the form, and show what comes back. */
  async #exchange(text, send) {
    const mine = this.#log.add("user", text);
    const answer = this.#log.add("assistant");
    this.#busy(true);
    try {
      const { text: words, transcript, audioUrl, by, facts } = await send();
      mine.finish({ text: transcript || text, aloud: Boolean(transcript) });
      answer.finish({ text: words, by, aloud: !audioUrl });
      if (audioUrl) answer.play(audioUrl);
      $("waterfall").replaceChildren();
      $("waterfall-hint").hidden = true;
      showFacts($("facts"), facts);
    } catch (error) {
      mine.finish({ text, label: "not answered" });
      answer.remove();
      fail(error, () => {
        mine.remove();
        this.#exchange(text, send);
      });
    } finally {
      this.#busy(false);
      this.#log.follow();
    }
  }

  #busy(on) {
    $("send").disabled = on;
    $("record").disabled = on;
    if (!this.#calls.going && !$("desk").hidden) show(on ? "busy" : "idle", on ? "Waiting for the answer" : "Ready");
  }

  async #record() {
    if (this.#recording) {
      const done = this.#recording;
      this.#ended();
      const clip = await (await done).end();
      this.#exchange("Voice message", () => this.chat.send(clip));
      return;
    }
    calm();
    $("call").disabled = true;
    const recording = Recording.begin(this.#longestMs, () => this.#recording === recording && this.#record());
    this.#recording = recording;
    try {
      await recording;
      if (this.#recording === recording) this.#began();
    } catch (error) {
      if (this.#recording !== recording) return;
      this.#ended();
      fail(error);
    }
  }

  #began() {
    $("composer").classList.add("records");
    $("discard").hidden = false;
    label("record", "Send the recording", true);
    show("live", "Recording", false);
    announce("Recording. Escape discards it.");
  }

  #discard() {
    if (!this.#recording) return;
    const held = document.activeElement === $("discard");
    this.drop();
    if (held) $("record").focus();
    show("idle", "Ready", false);
    announce("The recording was discarded.");
  }

  #ended() {
    this.#recording = null;
    $("call").disabled = false;
    $("composer").classList.remove("records");
    $("discard").hidden = true;
    label("record", "Record", false);
  }
}

/** How one begins, with what there is. */
function hint(calls, types, records) {
  if (!types) return "Press Call.";
  if (!calls) return records ? "Type, or record." : "Type a message.";
  return records ? "Press Call, type, or record." : "Press Call, or type.";
}
