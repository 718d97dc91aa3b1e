// Whether the server is still there during a call: packets of sound come from it all the time, in silence too. Browsers
// take many seconds to find out that none come any more.

import { ask } from "./api.js";

const LOOK_MS = 1_000;
const REPLY_MS = 3_000;
/** One alone may have failed because the device went from one network to another. */
const MOST_FAILURES = 1;
/** With these a proxy says that it has no answer of the server, which itself always says how it is. */
const UNANSWERED = [502, 503, 504];

export class Pulse {
  #connection;
  #gone;
  #timer;
  #received = 0;
  #failures = 0;
  #asks = false;

  /** `gone` is called when no sound comes and the server cannot be reached otherwise. */
  constructor(connection, gone) {
    this.#connection = connection;
    this.#gone = gone;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  stop() {
    clearInterval(this.#timer);
  }

  async #look() {
    if (this.#asks) return;
    this.#asks = true;
    const reached = await this.#beats() || await reachable();
    this.#asks = false;
    this.#failures = reached ? 0 : this.#failures + 1;
    if (this.#failures > MOST_FAILURES) this.#gone();
  }

  async #beats() {
    const before = this.#received;
    for (const report of (await this.#connection.getStats()).values()) {
      if (report.type === "inbound-rtp") this.#received = report.packetsReceived;
    }
    return this.#received !== before;
  }
}

/** Only a refusal counts: who is slow, or offline for a moment, has the time that the connection is given. */
async function reachable() {
  try {
    await ask("/health", { signal: AbortSignal.timeout(REPLY_MS) });
  } catch (error) {
    const refused = error.code === "unreachable" || (UNANSWERED.includes(error.status) && !error.health);
    return !refused || !navigator.onLine;
  }
  return true;
}
