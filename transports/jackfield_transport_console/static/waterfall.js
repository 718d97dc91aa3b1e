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
};

export function drawWaterfall(list, stages) {
  const found = Object.entries(stages).sort((one, other) => one[1] - other[1]);
  const from = Math.min(0, ...found.map(([, seconds]) => seconds));
  const whole = Math.max(...found.map(([, seconds]) => seconds)) - from || 1;
  let before = from;
  list.replaceChildren(...found.map(([name, seconds]) => {
    const row = line(name, seconds, (before - from) / whole, (seconds - before) / whole);
    before = seconds;
    return row;
  }));
}

function line(name, seconds, left, width) {
  const row = document.createElement("li");
  const label = cell("stage", NAMES[name] ?? name.replaceAll("_", " "));
  const track = cell("track", "");
  const bar = cell("bar", "");
  bar.style.marginInlineStart = `${left * 100}%`; // through the object model, which the policy allows
  bar.style.inlineSize = `max(2px, ${width * 100}%)`;
  track.append(bar);
  track.setAttribute("aria-hidden", "true");
  row.append(label, track, cell("seconds", `${Math.round(seconds * 1000)} ms`));
  return row;
}

function cell(kind, text) {
  const element = document.createElement("span");
  element.className = kind;
  element.textContent = text;
  return element;
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
