// Typed and recorded messages outside of calls: the form that relay_chat takes.

import { ask } from "./api.js";
import { namedProviders } from "./waterfall.js";

const SOURCE = "X-Jackfield-Source";
const RANDOM_BYTES = 16;

export class Chat {
  #mount;
  #session;
  #user;

  /** `made` says that the server makes the ids of conversations; `user` is who signed in, if anybody did. */
  constructor(mount, made, user) {
    this.#mount = mount;
    this.#session = made ? "" : randomId();
    this.#user = user || randomId();
  }

  /** Gives {text, audioUrl, transcript, by, facts}. */
  async say(text) {
    return this.#post({ message: text, type: "text" });
  }

  async send(clip) {
    return this.#post({ message: "[Voice Message]", type: "voice" }, clip);
  }

  async #post(fields, clip) {
    const form = new FormData();
    const all = { ...fields, userId: this.#user, username: "Console" };
    if (this.#session) all.sessionId = this.#session;
    for (const [name, value] of Object.entries(all)) form.set(name, value);
    if (clip) form.set("audio", clip);
    const beganMs = performance.now();
    const response = await ask(`${this.#mount}/chat`, { method: "POST", body: form });
    const body = await response.json();
    const tookMs = performance.now() - beganMs;
    this.#session ||= response.headers.get("X-Session-Id") ?? "";
    return {
      text: body.message,
      transcript: body.transcript ?? "",
      audioUrl: body.audioUrl ? this.#own(body.audioUrl) : "",
      by: response.headers.get(SOURCE) ?? providers(response.headers).llm ?? "",
      facts: facts(response.headers, tookMs),
    };
  }

  // Clips are named with the server's public address, from which this page may not have come.
  #own(address) {
    const route = `${this.#mount}/audio/`;
    const path = new URL(address, location.href).pathname;
    return route + path.slice(path.lastIndexOf("/") + 1);
  }
}

function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(RANDOM_BYTES)); // randomUUID() is there on https only
  return `console-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

function providers(headers) {
  const pairs = (headers.get("X-Jackfield-Providers") ?? "").split(", ").filter(Boolean);
  return Object.fromEntries(pairs.map((pair) => pair.split("=")));
}

function facts(headers, tookMs) {
  return {
    "Whole answer": `${(tookMs / 1000).toFixed(2)} s`,
    Source: headers.get(SOURCE) ?? "",
    ...namedProviders(providers(headers)),
    Cache: headers.get("X-Cache") ?? "",
    "Did without": headers.get("X-Jackfield-Degraded") ?? "",
  };
}
