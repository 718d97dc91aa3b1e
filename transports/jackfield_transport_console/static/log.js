// The conversation, as a list of messages. What is said is read out when it is whole, not word by word.

import { announce } from "./screen.js";

const NEAR_PX = 48;

export class Log {
  #list;
  #follows = true;

  constructor(list) {
    this.#list = list;
    list.addEventListener("scroll", () => {
      this.#follows = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR_PX;
    });
    new ResizeObserver(() => this.follow()).observe(list);
  }

  /** The last message, or null. */
  get last() {
    return this.#list.lastElementChild;
  }

  /** Add a message of "user", "assistant" or "note" at the end, or behind another one; gives it. */
  add(who, text = "", behind = this.last) {
    const entry = new Entry(who);
    if (behind?.isConnected) behind.after(entry.element);
    else this.#list.append(entry.element);
    entry.write(text);
    this.follow();
    return entry;
  }

  note(text) {
    this.add("note", text).finish({ aloud: true });
  }

  /** Keep the end in sight, unless somebody reads what was before. */
  follow() {
    if (this.#follows) this.#list.scrollTop = this.#list.scrollHeight;
  }

  clear() {
    this.#list.replaceChildren();
    this.#follows = true;
  }
}

const NAMES = { user: "You", assistant: "Assistant", note: "" };

class Entry {
  #who;
  #words;

  constructor(who) {
    this.#who = who;
    this.element = document.createElement("li");
    this.element.className = who;
    if (NAMES[who]) this.element.append(made("span", "who", NAMES[who]));
    this.#words = made("p", "words", "");
    this.element.append(this.#words);
  }

  get text() {
    return this.#words.textContent;
  }

  write(text) {
    this.#words.textContent = text;
    this.element.classList.add("partial");
  }

  /** It will not change further; `label` says what became of it, `by` whose it is; `aloud` has it read out. */
  finish({ text = this.text, label = "", by = "", aloud = false } = {}) {
    this.#words.textContent = text;
    this.element.classList.remove("partial");
    const known = [label, by && `by ${by}`].filter(Boolean).join(", ");
    if (known) this.element.append(made("span", "label", known));
    if (aloud) announce([NAMES[this.#who], text].filter(Boolean).join(": "));
  }

  play(url) {
    const player = document.createElement("audio");
    player.controls = true;
    player.src = url;
    player.setAttribute("aria-label", "Spoken answer");
    this.element.append(player);
    player.play().catch(() => {}); // the button is there
  }

  remove() {
    this.element.remove();
  }
}

function made(tag, kind, text) {
  const element = document.createElement(tag);
  element.className = kind;
  element.textContent = text;
  return element;
}
