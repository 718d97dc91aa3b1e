// A recording of the microphone.

const TYPES = ["audio/webm;codecs=opus", "audio/ogg;codecs=opus", "audio/mp4"];

export class Recording {
  #stream;
  #recorder;
  #pieces = [];
  #done;

  /** Begin; after `longestMs` it stops by itself, and `stopped` is called. */
  static async begin(longestMs, stopped) {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    return new Recording(stream, longestMs, stopped);
  }

  constructor(stream, longestMs, stopped) {
    this.#stream = stream;
    const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
    this.#recorder = new MediaRecorder(stream, mimeType ? { mimeType } : {});
    this.#recorder.addEventListener("dataavailable", (event) => this.#pieces.push(event.data));
    this.#done = new Promise((resolve) => this.#recorder.addEventListener("stop", resolve, { once: true }));
    this.#recorder.start();
    const timer = setTimeout(stopped, longestMs);
    this.#done.then(() => clearTimeout(timer));
  }

  /** Stop; gives the file. */
  async end() {
    if (this.#recorder.state !== "inactive") this.#recorder.stop();
    await this.#done;
    for (const track of this.#stream.getTracks()) track.stop();
    const type = this.#recorder.mimeType.split(";")[0] || "audio/webm";
    return new File(this.#pieces, `clip.${type.split("/")[1]}`, { type });
  }
}
