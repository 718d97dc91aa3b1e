// Requests to the server. The token stays in this module's memory, and is gone with the page; where the server
// set a cookie that scripts cannot read, the browser sends that by itself.

const TIMEOUT_MS = 120_000;

let token = "";

/** What the server refused, or that it could not be reached (status 0); `health` is what it said of its own. */
export class Refusal extends Error {
  constructor(status, code, detail, retryAfter = "", health = "") {
    super(detail);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
    this.health = health;
  }
}

export function setToken(value) {
  token = value;
}

/** Subprotocols that sign a WebSocket in, which can have no header. */
export function socketProtocols() {
  return token ? ["jackfield.bearer", token] : [];
}

export function socketUrl(path) {
  const url = new URL(path, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  return url;
}

/** Ask the server; gives the response when its status is 2xx, and throws a Refusal otherwise. */
export async function ask(path, options = {}) {
  const headers = new Headers(options.headers);
  if (token) headers.set("Authorization", `Bearer ${token}`);
  let response;
  try {
    const signal = options.signal ?? AbortSignal.timeout(TIMEOUT_MS);
    response = await fetch(path, { credentials: "same-origin", cache: "no-store", ...options, headers, signal });
  } catch (error) {
    const late = error.name === "TimeoutError";
    throw new Refusal(0, late ? "timeout" : "unreachable", late ? "The server took too long." : "");
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  const fields = (body.errors ?? []).map((one) => one.message ?? "").filter(Boolean);
  const detail = [body.detail ?? `The server answered ${response.status}.`, ...fields].join(" ");
  const retryAfter = response.headers.get("Retry-After") ?? "";
  throw new Refusal(response.status, body.code ?? "", detail, retryAfter, body.status ?? "");
}

export function postJson(path, body) {
  const headers = { "Content-Type": "application/json" };
  return ask(path, { method: "POST", headers, body: JSON.stringify(body) });
}

/** Sign in with a form that is URL-encoded, as OAuth 2.0 has it. */
export async function signIn(door, username, password) {
  setToken("");
  const body = new URLSearchParams({ username, password });
  const response = await ask(`${door.mount}/token`, { method: "POST", body });
  setToken((await response.json()).access_token);
}

export function register(door, email, password) {
  return postJson(`${door.mount}/register`, { email, password });
}

/** Forget the token, and have the server take its cookie back where it sets one. Throws while it does not. */
export async function signOut(door) {
  if (door.signs_out) await ask(`${door.mount}/logout`, { method: "POST" });
  setToken("");
}

/** The signed-in user's id, or an empty text where the server does not say. */
export async function userId(door) {
  if (!door.signs_in) return "";
  return (await (await ask(`${door.mount}/users/me`)).json()).id;
}
