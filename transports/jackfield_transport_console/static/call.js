// A live call over WebRTC with the door speech_assistant. It follows docs/speech-assistant.md and nothing else.

import { ask, postJson, socketProtocols, socketUrl } from "./api.js";
import { Pulse } from "./pulse.js";

const LOST_MS = 6_000;
const CONNECT_MS = 20_000;
const SOUND = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

/** Events: "message" (detail: what the data channel said), "connected", "scenario", "over" (detail: why), "silent"
 * when the browser plays nothing unasked, and "unsteady" and "steady" when the network goes and comes back. */
export class LiveCall extends EventTarget {
  #mount;
  #voice;
  #connection = null;
  #channel = null;
  #socket = null;
  #microphone = null;
  #session = null;
  #over = false;
  #unsteady = false;
  #timer = 0;
  #pulse = null;

  constructor(mount, voice) {
    super();
    this.#mount = mount;
    this.#voice = voice;
  }

  /** Connect; `speaks` says whether there is to be a microphone. Throws what refused it. */
  async begin(scenario, speaks) {
    try {
      if (speaks) this.#microphone = await navigator.mediaDevices.getUserMedia({ audio: SOUND });
      this.#goOn();
      const made = await postJson(`${this.#mount}/realtime/session`, { scenario_id: scenario });
      this.#session = await made.json();
      this.#goOn();
      await this.#connect();
    } catch (error) {
      if (!this.#over) this.#finish();
      throw error;
    }
  }

  async #connect() {
    const { session_id, client_secret, ice_servers } = this.#session;
    const connection = new RTCPeerConnection({ iceServers: ice_servers });
    this.#connection = connection;
    connection.addEventListener("track", (event) => this.#play(event));
    connection.addEventListener("connectionstatechange", () => this.#watch());
    const [track] = this.#microphone?.getAudioTracks() ?? [];
    if (track) {
      connection.addTrack(track, this.#microphone);
      track.addEventListener("ended", () => this.#stop("microphone_lost"));
    } else {
      connection.addTransceiver("audio", { direction: "recvonly" });
    }
    this.#channel = connection.createDataChannel("events");
    this.#channel.addEventListener("message", (event) => this.#hear(event));
    this.#channel.addEventListener("open", () => this.dispatchEvent(new Event("connected")));
    await connection.setLocalDescription();
    this.#timer = setTimeout(() => this.#stop("not_connected"), CONNECT_MS);
    const offer = { session_id, client_secret, sdp: connection.localDescription.sdp };
    const answer = await (await postJson(`${this.#mount}/realtime/signal`, offer)).json();
    this.#goOn();
    await connection.setRemoteDescription({ type: "answer", sdp: answer.sdp_answer });
  }

  get muted() {
    return this.#microphone !== null && !this.#microphone.getAudioTracks()[0].enabled;
  }

  set muted(on) {
    for (const track of this.#microphone?.getAudioTracks() ?? []) track.enabled = !on;
    this.send({ type: "mute", on });
  }

  get speaks() {
    return this.#microphone !== null;
  }

  /** Whether messages can be sent over the call. */
  get open() {
    return this.#channel?.readyState === "open";
  }

  send(message) {
    if (this.open) this.#channel.send(JSON.stringify(message));
  }

  /** Have another scenario played from the next answer on. */
  switchTo(scenario) {
    if (this.#socket?.readyState === WebSocket.OPEN) {
      this.#socket.send(JSON.stringify({ type: "scenario.update", scenario_id: scenario }));
      return;
    }
    this.#socket?.close();
    const path = `${this.#mount}/update-scenario/${encodeURIComponent(scenario)}`;
    const url = socketUrl(path);
    url.searchParams.set("session_id", this.#session.session_id);
    const socket = new WebSocket(url, socketProtocols());
    this.#socket = socket;
    socket.addEventListener("message", (event) => this.#switched(JSON.parse(event.data)));
    socket.addEventListener("error", () => this.#switched({ type: "error", detail: "The scenario was not changed." }));
  }

  #switched(message) {
    if (this.#over) return;
    if (message.type === "scenario.updated") {
      this.dispatchEvent(new CustomEvent("scenario", { detail: message.scenario_id }));
    } else if (message.type === "error") {
      this.dispatchEvent(new CustomEvent("message", { detail: message }));
    }
  }

  /** Hang up. */
  stop() {
    this.#stop("hung_up");
  }

  #goOn() {
    if (this.#over) throw new DOMException("The call was given up.", "AbortError");
  }

  async #play(event) {
    this.#voice.srcObject = event.streams[0] ?? new MediaStream([event.track]);
    try {
      await this.#voice.play();
    } catch (error) {
      if (error.name === "NotAllowedError") this.dispatchEvent(new Event("silent"));
    }
  }

  #watch() {
    const state = this.#connection.connectionState;
    if (state === "connected" || state === "disconnected") clearTimeout(this.#timer);
    if (state === "connected") this.#pulse ??= new Pulse(this.#connection, () => this.#stop("lost"));
    if (state === "connected" && this.#unsteady) this.dispatchEvent(new Event("steady"));
    this.#unsteady = state === "disconnected";
    if (this.#unsteady) {
      this.dispatchEvent(new Event("unsteady"));
      this.#timer = setTimeout(() => this.#stop("lost"), LOST_MS);
    }
    if (state === "failed") this.#stop("lost");
    if (state === "closed") this.#stop("hung_up");
  }

  #hear(event) {
    const message = JSON.parse(event.data);
    this.dispatchEvent(new CustomEvent("message", { detail: message }));
    if (message.type === "ended") this.#stop(message.reason);
  }

  #stop(reason) {
    if (this.#over) return;
    this.#finish();
    this.dispatchEvent(new CustomEvent("over", { detail: reason }));
  }

  #finish() {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#pulse?.stop();
    this.#socket?.close();
    this.#connection?.close();
    for (const track of this.#microphone?.getTracks() ?? []) track.stop();
    this.#voice.srcObject = null;
    if (!this.#session) return;
    const path = `${this.#mount}/realtime/session/${this.#session.session_id}`;
    ask(path, { method: "DELETE", keepalive: true }).catch(() => {}); // it may be over already
  }
}
