"""Talks to a voice server: asks what is recorded in a WAV file or, without one, talks by microphone.

python voice_client.py question.wav --save answer.wav --url ws://kitchen.local:8000/voice
It needs `pip install websockets` and, for microphone and loudspeaker, `pip install sounddevice`.
"""

import argparse
import json
import threading
import time
import wave

from websockets.sync.client import ClientConnection, connect

IN_HZ, OUT_HZ = 16_000, 24_000


def speak(socket: ClientConnection, recording: wave.Wave_read) -> None:
    """Send a recording as fast as a person would have spoken it."""
    began, rate_hz = time.monotonic(), recording.getframerate()
    while pcm := recording.readframes(rate_hz // 50):
        socket.send(pcm)
        time.sleep(max(0.0, began + recording.tell() / rate_hz - time.monotonic()))
    socket.send(json.dumps({"type": "speech.end"}))


def converse(socket: ClientConnection, sound: bytearray, *, once: bool) -> None:
    """Print what is said, and gather the sound of the answers, until the call ends."""
    for message in socket:
        if isinstance(message, bytes):
            sound += message
            continue
        event = json.loads(message)
        if event["type"] == "transcript" and event["final"]:
            print("You:", event["text"])
        elif event["type"] == "audio.clear":
            sound.clear()
        elif event["type"] == "error":
            print("Error:", event["detail"])
        elif event["type"] == "reply.finished":
            print("Server:", event["text"])
            if once:
                socket.send(json.dumps({"type": "stop"}))


def talk(socket: ClientConnection) -> None:
    """Connect microphone and loudspeaker."""
    import sounddevice  # plays and records in threads of its own

    sound = bytearray()

    def play(out: memoryview, *_about: object) -> None:
        piece = bytes(sound[: len(out)])
        del sound[: len(piece)]
        out[:] = piece.ljust(len(out), b"\0")

    def record(pcm: memoryview, *_about: object) -> None:
        socket.send(bytes(pcm))

    form = {"channels": 1, "dtype": "int16", "latency": "low"}
    with (
        sounddevice.RawOutputStream(OUT_HZ, callback=play, **form),
        sounddevice.RawInputStream(IN_HZ, IN_HZ // 50, callback=record, **form),
    ):
        converse(socket, sound, once=False)


def main() -> None:
    """Start a call, and talk."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("wav", nargs="?", help="16-bit mono WAV file with a question")
    options.add_argument("--url", default="ws://127.0.0.1:8000/voice")
    options.add_argument("--token", default="", help="if the server asks who you are")
    options.add_argument("--save", default="answer.wav", help="where the answer to the file goes")
    chosen = options.parse_args()
    with connect(chosen.url, additional_headers={"Authorization": f"Bearer {chosen.token}"}) as socket:
        if not chosen.wav:
            socket.send(json.dumps({"type": "start"}))
            talk(socket)
            return
        with wave.open(chosen.wav) as recording, wave.open(chosen.save, "wb") as answer:
            audio = {"format": "pcm_s16le", "rate_hz": recording.getframerate()}
            socket.send(json.dumps({"type": "start", "turns": "explicit", "greet": False, "audio_in": audio}))
            threading.Thread(target=speak, args=(socket, recording), daemon=True).start()
            sound = bytearray()
            converse(socket, sound, once=True)
            answer.setparams((1, 2, OUT_HZ, 0, "NONE", ""))
            answer.writeframes(sound)


if __name__ == "__main__":
    main()
