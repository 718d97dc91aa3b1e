// Who uses the page. A name and a password where the door has accounts, else a token.

import { ask, register, setToken, signIn, signOut, userId } from "./api.js";
import { $, calm, focusFirst, show, warn } from "./screen.js";
import { sentence } from "./trouble.js";

export class SignIn {
  #settings;
  #door;
  #opened;
  #closed;

  /** `opened` shows the desk to a user's id, empty where nobody is known; `closed` clears it. */
  constructor(settings, opened, closed) {
    this.#settings = settings;
    this.#door = settings.speech ?? settings.chat;
    this.#opened = opened;
    this.#closed = closed;
    $("sign-in-form").addEventListener("submit", (event) => this.#enter(event));
    $("sign-out").addEventListener("click", () => this.#leave());
  }

  /** Show the desk, or ask who it is. */
  async begin() {
    try {
      await this.#open("");
    } catch (error) {
      if (error.status !== 401) throw error;
      this.ask();
    }
  }

  /** Show the form. */
  ask() {
    setToken("");
    this.#closed();
    const wanted = this.#door.signs_in ? ["password"] : this.#settings.identifies ? ["token"] : ["token", "user"];
    for (const field of document.querySelectorAll("[data-for]")) {
      field.hidden = !wanted.includes(field.dataset.for);
      field.querySelector("input").disabled = field.hidden;
    }
    $("register").hidden = !this.#door.registers;
    $("desk").hidden = true;
    $("sign-out").hidden = true;
    $("sign-in").hidden = false;
    show("idle", "Not signed in");
    focusFirst();
  }

  async #enter(event) {
    event.preventDefault();
    calm();
    const form = $("sign-in-form");
    const buttons = form.querySelectorAll("button");
    for (const button of buttons) button.disabled = true;
    try {
      if (this.#door.signs_in) {
        const [name, password] = [$("email").value, $("password").value];
        if (event.submitter?.value === "register") await register(this.#door, name, password);
        await signIn(this.#door, name, password);
      } else {
        setToken($("token").value.trim());
      }
      await this.#open($("user-id").value.trim(), true);
      form.reset();
      focusFirst();
    } catch (error) {
      setToken("");
      const wrong = this.#door.signs_in ? "The e-mail address or the password is not right."
        : "The server does not take this token.";
      warn(error.status === 401 ? wrong : sentence(error));
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  }

  /** Throws a Refusal with 401 when nobody is signed in. */
  async #open(name, entered = false) {
    const known = await this.#who();
    await this.#opened(known || name);
    $("sign-in").hidden = true;
    $("desk").hidden = false;
    $("sign-out").hidden = !(known || entered);
    show("idle", "Ready");
  }

  async #who() {
    if (this.#settings.identifies) return (await (await ask("user.json")).json()).id;
    return this.#door.signs_in ? userId(this.#door) : "";
  }

  async #leave() {
    try {
      await signOut(this.#door);
    } catch (error) {
      warn(`The browser is still signed in. ${sentence(error)}`, "Sign out again", () => this.#leave());
      return;
    }
    calm();
    this.ask();
  }
}
