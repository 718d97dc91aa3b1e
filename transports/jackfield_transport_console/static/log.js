// The conversation, as a list of messages. What is said is read out when it is whole, not word by word.

export class Log {
  #list;
  #hint;
  #spoken;

  constructor(list, hint, spoken) {
    this.#list = list;
    this.#hint = hint;
    this.#spoken = spoken;
  }

  /** Add a message of "user", "assistant" or "note"; gives it. */
  add(who, text = "") {
    const entry = new Entry(who, this.#spoken);
    this.#hint.hidden = true;
    this.#list.append(entry.element);
    entry.write(text);
    this.follow();
    return entry;
  }

  note(text) {
    this.add("note", text).finish();
  }

  /** Keep the end in sight. */
  follow() {
    this.#list.scrollTop = this.#list.scrollHeight;
  }

  clear() {
    this.#list.replaceChildren();
    this.#hint.hidden = false;
  }
}

const NAMES = { user: "You", assistant: "Assistant", note: "" };

class Entry {
  #who;
  #words;
  #spoken;

  constructor(who, spoken) {
    this.#who = who;
    this.#spoken = spoken;
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

  /** It will not change further; `label` says what became of it. */
  finish(text = this.text, label = "") {
    this.#words.textContent = text;
    this.element.classList.remove("partial");
    if (label) this.element.append(made("span", "label", label));
    this.#spoken.textContent = [NAMES[this.#who], text].filter(Boolean).join(": ");
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
