// The stages of an answer, each from the one before it to the moment at which it happened.

const NAMES = {
  endpoint: "End of speech found",
  transcript: "Words understood",
  first_token: "First word",
  first_sentence: "First sentence",
  first_audio: "First sound",
  answered: "Last word",
  interrupted: "Interrupted",
  llm_failover: "Another model took over",
  stt_failover: "Another recogniser took over",
  tts_failover: "Another voice took over",
  played: "Heard to the end",
  spoken: "All of it spoken",
  stored: "Stored",
};

/** From where the others are counted. */
const ZERO = "speech_end";
/** What happens while the answer is heard: it takes as long as the answer is, and would dwarf the rest. */
const LATER = ["answered", "spoken", "played", "interrupted", "stored"];

export function drawWaterfall(list, stages) {
  const rank = ([name]) => Number(LATER.includes(name)); // what has a bar stands together
  const found = Object.entries(stages).filter(([name]) => name !== ZERO)
    .sort((one, other) => rank(one) - rank(other) || one[1] - other[1]);
  const drawn = found.filter((stage) => !rank(stage)).map(([, seconds]) => seconds);
  const from = Math.min(0, ...drawn);
  const whole = Math.max(...drawn, from) - from || 1;
  let before = from;
  list.replaceChildren(...found.map(([name, seconds]) => {
    const row = line(name, seconds);
    if (LATER.includes(name)) return row;
    row.append(bar((before - from) / whole, (seconds - before) / whole));
    before = seconds;
    return row;
  }));
}

function line(name, seconds) {
  const row = document.createElement("li");
  const label = cell("stage", NAMES[name] ?? name.replaceAll("_", " "));
  row.append(label, cell("seconds", `${Math.round(seconds * 1000)} ms`));
  return row;
}

/** `left` and `width` are parts of the whole. */
function bar(left, width) {
  const track = cell("track", "");
  const found = cell("bar", "");
  found.style.marginInlineStart = `${left * 100}%`; // through the object model, which the policy allows
  found.style.inlineSize = `max(2px, ${width * 100}%)`;
  track.append(found);
  track.setAttribute("aria-hidden", "true");
  return track;
}

function cell(kind, text) {
  const element = document.createElement("span");
  element.className = kind;
  element.textContent = text;
  return element;
}

const PARTS = {
  stt: "Understood by",
  llm: "Answered by",
  realtime: "Answered by",
  tts: "Spoken by",
};

/** Providers by part, as facts to show. */
export function namedProviders(providers) {
  return Object.fromEntries(Object.entries(providers).map(([part, name]) => [PARTS[part] ?? part, name]));
}

/** Forget whose answer it was. */
export function clearFigures() {
  for (const list of ["waterfall", "facts"]) document.getElementById(list).replaceChildren();
  document.getElementById("waterfall-hint").hidden = false;
}

/** Show what is known beside the stages, without what is empty. */
export function showFacts(list, facts) {
  list.replaceChildren(...Object.entries(facts).filter(([, value]) => value).flatMap(([name, value]) => {
    const term = document.createElement("dt");
    const text = document.createElement("dd");
    term.textContent = name;
    text.textContent = value;
    return [term, text];
  }));
}
