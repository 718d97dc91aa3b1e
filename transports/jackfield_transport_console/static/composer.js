// Typing and recording: into the call where there is one, else through the form.

import { Recording } from "./clip.js";
import { $, calm, fail, label, show, warn } from "./screen.js";
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
  }

  /** Begin with a Chat, or with none. */
  open(chat) {
    this.chat = chat;
    $("record").hidden = !chat || !canRecord();
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
    this.#recording = Recording.begin(this.#longestMs, () => this.#recording && this.#record());
    try {
      await this.#recording;
      label("record", "Send the recording", true);
      show("live", "Recording");
    } catch (error) {
      this.#ended();
      fail(error);
    }
  }

  #ended() {
    this.#recording = null;
    $("call").disabled = false;
    label("record", "Record", false);
  }
}
