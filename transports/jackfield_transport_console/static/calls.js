// Calling: the buttons of a call, and what the server tells of it.

import { LiveCall } from "./call.js";
import { $, calm, fail, label, show, warn } from "./screen.js";
import { LOST, canRecord, ending, isMicrophone, sentence } from "./trouble.js";
import { drawWaterfall, namedProviders, showFacts } from "./waterfall.js";

export class Calls {
  #log;
  #mount = "";
  #call = null;
  #said = null; // what the user is saying
  #unanswered = null; // what they said last, until they have heard an answer
  #anchor = null; // what stood last when they began
  #replies = new Map(); // by item
  #typed = null; // the last typed message to which no answer has begun
  #awaited = null; // the place of its answer

  constructor(log) {
    this.#log = log;
    $("call").addEventListener("click", () => (this.#call ? this.stop() : this.#begin(canRecord())));
    $("interrupt").addEventListener("click", () => this.#interrupt());
    $("mute").addEventListener("click", () => this.#mute());
    $("scenario").addEventListener("change", () => this.#choose());
    window.addEventListener("pagehide", () => this.stop());
  }

  /** Offer calls through the door at `mount`, with these scenarios. */
  open(mount, scenarios) {
    this.#mount = mount;
    $("scenario").replaceChildren(...scenarios.map(({ id, name }) => new Option(name, id)));
  }

  /** Whether there is a door for calls. */
  get offered() {
    return $("scenario").options.length > 0;
  }

  get going() {
    return this.#call !== null;
  }

  /** Hang up. */
  stop() {
    this.#call?.stop();
  }

  /** Say a typed message in the call; false when there is none. */
  say(text) {
    if (!this.#call?.open) return false;
    this.#awaitNothing();
    this.#typed = this.#log.add("user", text);
    this.#typed.finish();
    this.#awaited = this.#log.add("assistant");
    this.#unanswered = null;
    this.#call.send({ type: "text", text });
    this.#rest();
    return true;
  }

  #interrupt() {
    this.#call?.send({ type: "interrupt" });
    this.#awaitNothing();
    this.#rest();
  }

  #awaitNothing() {
    this.#awaited?.remove();
    this.#typed = this.#awaited = null;
  }

  /** Show that nobody speaks, and whether an answer is to come. */
  #rest() {
    if (this.#awaited) show("busy", "Waiting for the answer", false);
    else show("live", "In a call", false);
  }

  /** Gives the place of an answer that begins: the one that waits for it, if nothing was said behind it. */
  #place() {
    const last = this.#awaited?.element === this.#log.last;
    const place = last ? this.#awaited : this.#log.add("assistant");
    if (last) this.#awaited = null;
    this.#awaitNothing();
    return place;
  }

  async #begin(speaks) {
    calm();
    const call = new LiveCall(this.#mount, $("voice"));
    this.#call = call;
    call.addEventListener("connected", () => this.#connected());
    call.addEventListener("unsteady", () => show("busy", "The connection is interrupted"));
    call.addEventListener("steady", () => show("live", "In a call"));
    call.addEventListener("message", (event) => this.#hear(event.detail));
    call.addEventListener("scenario", (event) => this.#switched(event.detail));
    call.addEventListener("silent", () => warn("The browser does not play sound yet.", "Play", () => $("voice").play()));
    call.addEventListener("over", (event) => this.#over(event.detail));
    this.#offer("Hang up");
    show("busy", "Connecting");
    try {
      await call.begin($("scenario").value, speaks);
    } catch (error) {
      if (this.#call === call) this.#idle();
      if (isMicrophone(error)) warn(sentence(error), "Call without a microphone", () => this.#begin(false));
      else fail(error, () => this.#begin(speaks));
    }
  }

  #connected() {
    $("interrupt").hidden = false;
    $("mute").hidden = !this.#call.speaks;
    label("mute", "Mute", false);
    show("live", this.#call.speaks ? "In a call" : "In a call, without a microphone", false);
    this.#log.note("The call begins.");
  }

  #over(reason) {
    this.#idle();
    if (reason in LOST) warn(LOST[reason], "Call again", () => this.#begin(canRecord()));
    this.#log.note(ending(reason));
  }

  #idle() {
    this.#call = null;
    this.#typed?.finish({ label: "not answered" });
    this.#awaitNothing();
    for (const entry of [this.#said, ...this.#replies.values()]) entry?.finish({ label: "cut off", aloud: false });
    this.#said = this.#unanswered = this.#anchor = null;
    this.#replies.clear();
    this.#offer("Call");
    $("interrupt").hidden = true;
    $("mute").hidden = true;
    show("idle", "Ready", false);
  }

  #offer(what) {
    $("call").textContent = what;
    $("call").classList.toggle("ends", this.going);
    $("composer").classList.toggle("calls", this.going);
  }

  #mute() {
    this.#call.muted = !this.#call.muted;
    label("mute", this.#call.muted ? "Unmute" : "Mute", this.#call.muted);
  }

  #choose() {
    if (this.#call?.open) this.#call.switchTo($("scenario").value);
  }

  #switched(scenario) {
    $("scenario").value = scenario;
    this.#log.note(`Scenario: ${$("scenario").selectedOptions[0]?.textContent ?? scenario}, from the next answer on.`);
  }

  #hear(message) {
    Calls.#heard[message.type]?.(this, message);
    this.#log.follow();
  }

  static #heard = {
    "speech.started"(calls) {
      calls.#anchor = calls.#log.last;
      show("live", "You are speaking", false);
    },
    "speech.stopped"(calls) {
      calls.#rest();
    },
    transcript(calls, { text, final }) {
      calls.#said ??= calls.#log.add("user", "", calls.#anchor); // it may come after the answer has begun
      calls.#said.write(text);
      if (final) calls.#understood(text);
    },
    "reply.started"(calls, { item }) {
      show("live", "The assistant answers", false);
      calls.#replies.set(item, calls.#place());
    },
    "reply.text"(calls, { item, text }) {
      const entry = calls.#replies.get(item);
      entry?.write(entry.text + text);
    },
    "reply.finished"(calls, message) {
      calls.#answered(message);
    },
    "tool.started"(calls, { name }) {
      calls.#log.note(`Uses ${name} …`);
    },
    error(calls, { detail }) {
      warn(detail);
      calls.#awaitNothing();
    },
  };

  /** The user's words are certain. They begin with earlier ones to which no answer was heard. */
  #understood(text) {
    const said = this.#said;
    this.#said = this.#anchor = null;
    if (!text) {
      said.remove();
      return;
    }
    said.finish({ text, aloud: false });
    if (this.#unanswered && text.startsWith(this.#unanswered.text)) this.#unanswered.remove();
    this.#unanswered = said;
  }

  /** What was heard of an answer is all that stays of it. */
  #answered({ item, text, outcome, stages, providers = {} }) {
    const entry = this.#replies.get(item);
    this.#replies.delete(item);
    const by = providers.realtime ?? providers.llm ?? "";
    if (text) entry?.finish({ text, label: outcome === "ok" ? "" : outcome, by, aloud: false });
    else entry?.remove();
    if (text) this.#unanswered = null;
    this.#rest();
    if (Object.keys(stages).length === 0) return;
    $("waterfall-hint").hidden = true;
    drawWaterfall($("waterfall"), stages);
    showFacts($("facts"), { Outcome: outcome, ...namedProviders(providers) });
  }
}
