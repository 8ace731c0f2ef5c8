// The sound of the stream, played in step with its pictures.

const RATE = 16000; // Hz, as the server sends it
const FIRST_S = 0.2; // wait before the first picture gives the delay
const STEP_S = 0.15; // sound that is further off than this begins anew
const AHEAD_S = 4; // a replay that runs faster than time is not played
const WEIGHT = 0.05;

export class Player {
  /** @param {(message: object) => void} send */
  constructor(send) {
    this.send = send;
    this.wanted = new Set(); // "speakers", "recording"
    this.context = null;
    this.forget();
  }

  /** Play, or stop; sound is sent while the page plays or records it. */
  want(who, on) {
    if (on) this.wanted.add(who);
    else this.wanted.delete(who);
    if (this.wanted.size && !this.context) this.open();
    if (this.context) this.speakers.gain.value = this.wanted.has("speakers") ? 1 : 0;
    if (this.wanted.size) this.context.resume();
    this.tell();
  }

  /** Say to a server, which may be another one, whether sound is wanted. */
  tell() {
    this.send({ kind: "listen", on: this.wanted.size > 0 });
  }

  open() {
    this.context = new AudioContext({ sampleRate: RATE });
    this.speakers = new GainNode(this.context);
    this.speakers.connect(this.context.destination);
    this.recording = new MediaStreamAudioDestinationNode(this.context);
  }

  /** Another run: its time is another. */
  forget() {
    for (const node of this.playing ?? []) node.stop();
    this.playing = new Set();
    this.lag = null; // from the stream's time to the context's, s
    this.next = null; // when the sound that was taken last ends
    this.played = 0; // pieces
  }

  /** A picture of that time is on the screen. */
  shown(time) {
    if (!this.wanted.size) return;
    const lag = this.context.currentTime - time;
    const near = this.lag !== null && Math.abs(lag - this.lag) < 1;
    this.lag = near ? this.lag + WEIGHT * (lag - this.lag) : lag;
  }

  /** Take sound that begins at that time of the stream. */
  hear(time, samples) {
    if (!this.wanted.size || !samples.length) return;
    const { currentTime } = this.context;
    const lag = this.lag ?? (this.lag = currentTime + FIRST_S - time);
    if (this.next === null || Math.abs(time + lag - this.next) > STEP_S) this.next = time + lag;
    if (this.next < currentTime) this.next = currentTime; // late: at once
    if (this.next > currentTime + AHEAD_S) return;
    const buffer = new AudioBuffer({ length: samples.length, sampleRate: RATE });
    buffer.copyToChannel(Float32Array.from(samples, (value) => value / 32768), 0);
    const node = new AudioBufferSourceNode(this.context, { buffer });
    node.connect(this.speakers);
    node.connect(this.recording);
    node.onended = () => this.playing.delete(node);
    this.playing.add(node);
    node.start(this.next);
    this.next += buffer.duration;
    this.played += 1;
  }
}
