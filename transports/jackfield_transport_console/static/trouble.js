// What to tell people when something goes wrong.

const SENTENCES = {
  unreachable: "The server cannot be reached. Is it running, and is this device online?",
  too_many_sessions: "You have as many calls as one user may have, perhaps in another tab. End one of them first.",
  too_many_calls: "The server holds as many calls as it can. Try again in a moment.",
  server_stopping: "The server is about to stop. Try again in a moment.",
  voice_not_configured: "The server has nothing that hears, or nothing that speaks.",
};

const MICROPHONE = {
  NotAllowedError: "The browser was not allowed to use the microphone. Allow it for this page, in the browser's "
    + "address bar, and try again.",
  NotFoundError: "There is no microphone. Connect one and try again.",
  NotReadableError: "The microphone is in use by another program, or does not work.",
};

/** Ends of a call after which one may want to call again. */
export const LOST = {
  lost: "The connection was lost. Check this device's network, and that the server still runs.",
  not_connected: "No connection came about. A firewall may stand between: the server can be told of a TURN server.",
  microphone_lost: "The microphone was disconnected.",
  shutdown: "The server stops, and the call with it.",
};

const ENDINGS = {
  hung_up: "The call is over.",
  idle: "The call ended: nobody spoke.",
  too_long: "The call ended: it had its longest time.",
  provider_lost: "The call ended: the server lost a service that it needs.",
  bad_audio: "The call ended: the server could not use the sound.",
  lost: "The call ended: the connection was lost.",
  not_connected: "The call did not come about.",
  microphone_lost: "The call ended: the microphone was disconnected.",
  shutdown: "The call ended: the server stops.",
};

export const INSECURE = "Browsers give the microphone only to pages over https, or on localhost. This page came "
  + `over plain http from ${location.host}: you can type, and hear answers in a call. To speak from this device, `
  + "give the server a certificate: set tls_cert and tls_key in the section [server] of its configuration file, and "
  + "open this page with https://.";

/** Whether the browser would give this page a microphone at all. */
export function canRecord() {
  return window.isSecureContext && Boolean(navigator.mediaDevices?.getUserMedia);
}

export function sentence(error) {
  if (error.code === "rate_limited" && error.retryAfter) {
    return `Too many requests. Try again in ${error.retryAfter} seconds.`;
  }
  return SENTENCES[error.code] ?? MICROPHONE[error.name] ?? (error.message || "Something went wrong.");
}

export function isMicrophone(error) {
  return error.name in MICROPHONE;
}

export function ending(reason) {
  return ENDINGS[reason] ?? ENDINGS.hung_up;
}
