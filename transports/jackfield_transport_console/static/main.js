// Puts the page together: who is signed in, what is being said, and which of the parts does what was asked.

import { register, setToken, signIn, ask, userId } from "./api.js";
import { LiveCall } from "./call.js";
import { Chat } from "./chat.js";
import { Recording } from "./clip.js";
import { Log } from "./log.js";
import { INSECURE, canRecord, ending, isMicrophone, sentence } from "./trouble.js";
import { drawWaterfall, showFacts } from "./waterfall.js";

const $ = (id) => document.getElementById(id);
const log = new Log($("log"), $("hint"), $("spoken"));

let settings;
let door; // where one signs in
let chat = null;
let call = null;
let recording = null;
let said = null; // what the user is saying
const replies = new Map(); // by item

const LOST = {
  lost: "The connection was lost. Check this device's network, and call again.",
  not_connected: "No connection came about. A firewall may stand between: the server can be told of a TURN server.",
  microphone_lost: "The microphone was disconnected.",
};

function show(name, text) {
  $("state").dataset.state = name;
  $("state").textContent = text;
}

function warn(text, action = "", act = null) {
  $("alert").hidden = false;
  $("alert-text").textContent = text;
  $("alert-action").hidden = !act;
  $("alert-action").textContent = action;
  $("alert-action").onclick = () => {
    calm();
    act?.();
  };
}

function calm() {
  $("alert").hidden = true;
}

function fail(error) {
  if (error.name === "AbortError") return; // given up by whoever began it
  if (error.status === 401 && !$("desk").hidden) {
    askToSignIn();
    warn("You are not signed in, or not any more. Sign in again.");
  } else {
    warn(sentence(error));
  }
}

// ----- signing in

function askToSignIn() {
  call?.stop();
  const kind = door.signs_in ? "password" : "token";
  for (const field of document.querySelectorAll("[data-for]")) {
    field.hidden = field.dataset.for !== kind;
    field.querySelector("input").disabled = field.hidden;
  }
  $("register").hidden = !door.registers;
  $("desk").hidden = true;
  $("sign-out").hidden = true;
  $("sign-in").hidden = false;
  show("idle", "Not signed in");
  $("sign-in-form").querySelector("input:enabled").focus();
}

async function enter(event) {
  event.preventDefault();
  calm();
  const form = $("sign-in-form");
  const buttons = form.querySelectorAll("button");
  for (const button of buttons) button.disabled = true;
  try {
    if (door.signs_in) {
      const [name, password] = [$("email").value, $("password").value];
      if (event.submitter?.value === "register") await register(door, name, password);
      await signIn(door, name, password);
    } else {
      setToken($("token").value);
    }
    await open($("user-id").value);
    $("sign-out").hidden = false;
    form.reset();
    $("message").focus();
  } catch (error) {
    setToken("");
    warn(error.status === 401 ? error.message || "That was not right." : sentence(error));
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}

function signOut() {
  setToken("");
  log.clear();
  askToSignIn();
}

/** Show the desk. Throws a Refusal with 401 when nobody is signed in. */
async function open(name = "") {
  if (settings.speech) await listScenarios();
  const user = (await knownUser()) || name;
  chat = settings.chat && new Chat(settings.chat.mount, settings.session_ids === "server", user);
  $("sign-in").hidden = true;
  $("desk").hidden = false;
  $("call-card").hidden = !settings.speech;
  $("record").hidden = !chat || !canRecord();
  show("idle", "Ready");
}

function knownUser() {
  return door.signs_in ? userId(door) : "";
}

async function listScenarios() {
  const { scenarios } = await (await ask(`${settings.speech.mount}/scenarios`)).json();
  $("scenario").replaceChildren(...scenarios.map(({ id, name }) => new Option(name, id)));
}

// ----- typing and recording

async function submit(event) {
  event.preventDefault();
  const text = $("message").value.trim();
  if (!text) return;
  calm();
  if (call?.open) {
    log.add("user", text).finish();
    call.send({ type: "text", text });
  } else if (chat) {
    $("message").value = "";
    await exchange(text, () => chat.say(text));
    return;
  } else {
    warn("Typed messages go through a call here: press Call first.");
    return;
  }
  $("message").value = "";
}

/** Send something through the form, and show what comes back. */
async function exchange(text, send) {
  const mine = log.add("user", text);
  const answer = log.add("assistant", "…");
  busy(true);
  try {
    const { text: words, transcript, audioUrl, facts } = await send();
    mine.finish(transcript || text);
    answer.finish(words);
    if (audioUrl) answer.play(audioUrl);
    $("waterfall").replaceChildren();
    $("waterfall-hint").hidden = true;
    showFacts($("facts"), facts);
  } catch (error) {
    mine.finish(text, "not answered");
    answer.remove();
    fail(error);
  } finally {
    busy(false);
    log.follow();
  }
}

function busy(on) {
  $("send").disabled = on;
  $("record").disabled = on;
  if (!call) show(on ? "busy" : "idle", on ? "Waiting for the answer" : "Ready");
}

async function record() {
  if (recording) {
    const done = recording;
    recording = null;
    label("record", "Record", false);
    const clip = await (await done).end();
    await exchange("Voice message", () => chat.send(clip));
    return;
  }
  calm();
  recording = Recording.begin(settings.max_audio_s * 1000, () => recording && record());
  try {
    await recording;
    label("record", "Send the recording", true);
    show("live", "Recording");
  } catch (error) {
    recording = null;
    fail(error);
  }
}

function label(id, text, pressed) {
  $(id).textContent = text;
  $(id).setAttribute("aria-pressed", String(pressed));
}

// ----- calling

async function toggleCall() {
  if (call) call.stop();
  else await begin(canRecord());
}

async function begin(speaks) {
  calm();
  call = new LiveCall(settings.speech.mount, $("voice"));
  call.addEventListener("connected", connected);
  call.addEventListener("message", (event) => hear(event.detail));
  call.addEventListener("scenario", (event) => switched(event.detail));
  call.addEventListener("silent", () => warn("The browser does not play sound yet.", "Play", () => $("voice").play()));
  call.addEventListener("over", (event) => over(event.detail));
  $("call").textContent = "Hang up";
  $("record").disabled = true;
  show("busy", "Connecting");
  try {
    await call.begin($("scenario").value, speaks);
  } catch (error) {
    if (error.name !== "AbortError") idle();
    if (isMicrophone(error)) warn(sentence(error), "Call without a microphone", () => begin(false));
    else fail(error);
  }
}

function connected() {
  $("interrupt").hidden = false;
  $("mute").hidden = !call.speaks;
  label("mute", "Mute", false);
  show("live", call.speaks ? "In a call" : "In a call, without a microphone");
  log.note("The call begins.");
}

function over(reason) {
  idle();
  if (reason in LOST) warn(LOST[reason]);
  log.note(LOST[reason] ? "The call is over." : ending(reason));
}

function idle() {
  call = null;
  for (const entry of [said, ...replies.values()]) entry?.finish();
  said = null;
  replies.clear();
  $("call").textContent = "Call";
  $("interrupt").hidden = true;
  $("mute").hidden = true;
  $("record").disabled = false;
  show("idle", "Ready");
}

function mute() {
  call.muted = !call.muted;
  label("mute", call.muted ? "Unmute" : "Mute", call.muted);
}

function choose() {
  if (call?.open) call.switchTo($("scenario").value);
}

function switched(scenario) {
  $("scenario").value = scenario;
  log.note(`Scenario: ${$("scenario").selectedOptions[0]?.textContent ?? scenario}, from the next answer on.`);
}

const HEARD = {
  "speech.started": () => show("live", "You are speaking"),
  "speech.stopped": () => show("live", "In a call"),
  transcript({ text, final }) {
    said ??= log.add("user");
    said.write(text);
    if (!final) return;
    if (text) said.finish(text);
    else said.remove();
    said = null;
  },
  "reply.started"({ item }) {
    show("live", "The assistant answers");
    replies.set(item, log.add("assistant"));
  },
  "reply.text"({ item, text }) {
    const entry = replies.get(item);
    entry?.write(entry.text + text);
  },
  "reply.finished"({ item, text, outcome, stages }) {
    const words = text || replies.get(item)?.text;
    if (words) replies.get(item)?.finish(words, outcome === "ok" ? "" : outcome);
    else replies.get(item)?.remove();
    replies.delete(item);
    show("live", "In a call");
    if (Object.keys(stages).length === 0) return;
    $("waterfall-hint").hidden = true;
    drawWaterfall($("waterfall"), stages);
    showFacts($("facts"), { Outcome: outcome });
  },
  "tool.started": ({ name }) => log.note(`Uses ${name} …`),
  error: ({ detail }) => warn(detail),
};

function hear(message) {
  HEARD[message.type]?.(message);
  log.follow();
}

// ----- beginning

async function start() {
  settings = await (await ask("settings.json")).json();
  document.title = settings.title;
  $("title").textContent = settings.title;
  door = settings.speech ?? settings.chat;
  if (settings.missing) {
    const places = settings.missing.join(" and ");
    warn(`The server has no door at ${places} that this page could use: correct options.speech or options.chat.`);
  }
  if (!door) {
    show("idle", "Nothing to talk with");
    warn("The server has neither speech_assistant nor relay_chat, which this page talks with. Add one as a transport.");
    return;
  }
  if (!canRecord()) {
    $("notice").hidden = false;
    $("notice").textContent = INSECURE;
  }
  try {
    await open();
  } catch (error) {
    if (error.status !== 401) throw error;
    askToSignIn();
  }
}

$("alert-close").addEventListener("click", calm);
$("sign-in-form").addEventListener("submit", enter);
$("sign-out").addEventListener("click", signOut);
$("composer").addEventListener("submit", submit);
$("record").addEventListener("click", record);
$("call").addEventListener("click", toggleCall);
$("interrupt").addEventListener("click", () => call?.send({ type: "interrupt" }));
$("mute").addEventListener("click", mute);
$("scenario").addEventListener("change", choose);
window.addEventListener("pagehide", () => call?.stop());
start().catch((error) => {
  show("idle", "Not ready");
  warn(sentence(error));
});
