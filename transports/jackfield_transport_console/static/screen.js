// What stands around the conversation: the state, what went wrong, and what is said to those who cannot see.

import { sentence } from "./trouble.js";

const MOST_ANNOUNCEMENTS = 4;

export const $ = (id) => document.getElementById(id);

let signedOut = () => {};

/** `act` is called when the server does not know the user any more. */
export function whenSignedOut(act) {
  signedOut = act;
}

/** Show the state: "idle", "busy" or "live". What changes at every turn of a call is not said aloud. */
export function show(name, text, aloud = true) {
  $("state").dataset.state = name;
  $("state").textContent = text;
  if (aloud) announce(text);
}

/** Have a screen reader say something when it has time. */
export function announce(text) {
  const line = document.createElement("p");
  line.textContent = text;
  $("spoken").append(line);
  while ($("spoken").childElementCount > MOST_ANNOUNCEMENTS) $("spoken").firstElementChild.remove();
}

export function warn(text, action = "", act = null) {
  $("alert").hidden = false;
  $("alert-text").textContent = text;
  $("alert-action").hidden = !act;
  $("alert-action").textContent = action;
  $("alert-action").onclick = () => {
    calm();
    act?.();
  };
}

/** Take the message away; who had come to it with the keyboard goes on where one writes. */
export function calm() {
  const held = $("alert").contains(document.activeElement);
  $("alert").hidden = true;
  if (held) focusFirst();
}

export function focusFirst() {
  const place = $("desk").hidden ? $("sign-in-form").querySelector("input:enabled") : $("message");
  place?.focus();
}

/** Say what went wrong; `again` is offered where trying once more may help. */
export function fail(error, again = null) {
  if (error.name === "AbortError") return; // given up by whoever began it
  if (error.status === 401 && !$("desk").hidden) {
    signedOut();
    warn("You are not signed in, or not any more. Sign in again.");
  } else if (again && (error.status === 0 || error.status === 429 || error.status >= 500)) {
    warn(sentence(error), "Try again", again);
  } else {
    warn(sentence(error));
  }
}

export function label(id, text, pressed) {
  $(id).textContent = text;
  $(id).setAttribute("aria-pressed", String(pressed));
}
