// Puts the page together: finds the doors, and gives each part what it needs.

import { ask } from "./api.js";
import { Calls } from "./calls.js";
import { Chat } from "./chat.js";
import { Composer } from "./composer.js";
import { Log } from "./log.js";
import { $, calm, fail, show, warn, whenSignedOut } from "./screen.js";
import { SignIn } from "./sign_in.js";
import { INSECURE, canRecord } from "./trouble.js";
import { clearFigures } from "./waterfall.js";

const log = new Log($("log"));
const calls = new Calls(log);

async function start() {
  const settings = await (await ask("settings.json")).json();
  document.title = settings.title;
  $("title").textContent = settings.title;
  if (settings.missing) {
    const places = settings.missing.join(" and ");
    warn(`The server has no door at ${places} that this page could use: correct options.speech or options.chat.`);
  }
  if (!settings.speech && !settings.chat) {
    show("idle", "Nothing to talk with");
    warn("The server has neither speech_assistant nor relay_chat, which this page talks with. Add one as a transport.");
    return;
  }
  if (!canRecord()) {
    $("notice").hidden = false;
    $("notice").textContent = INSECURE;
  }
  await furnish(settings).begin();
}

/** Make the parts that depend on the server; gives the one that asks who it is. */
function furnish(settings) {
  const { speech, chat } = settings;
  const composer = new Composer(log, calls, settings.max_audio_s * 1000);

  async function opened(user) {
    if (speech) calls.open(speech.mount, (await (await ask(`${speech.mount}/scenarios`)).json()).scenarios);
    composer.open(chat && new Chat(chat.mount, settings.session_ids === "server", user));
    $("call-card").hidden = !speech;
  }

  function closed() {
    calls.stop();
    composer.drop();
    log.clear();
    clearFigures();
    $("message").value = "";
  }

  const signIn = new SignIn(settings, opened, closed);
  whenSignedOut(() => signIn.ask());
  return signIn;
}

function begin() {
  start().catch((error) => {
    show("idle", "Not ready");
    fail(error, () => location.reload());
  });
}

$("alert-close").addEventListener("click", calm);
begin();
