// A recording of what this page shows, with its sound, made in the browser and saved like a download.

import { make } from "./dom.js";

const TYPES = ["video/webm;codecs=vp9,opus", "video/webm;codecs=vp8,opus", "video/mp4", "video/webm"];
const PIECE_MS = 1000;
const LARGEST = 1 << 30; // bytes that are kept in memory

export class Recorder {
  /**
   * @param {() => import("./stage.js").Stage} stage what is shown now
   * @param {import("./player.js").Player} player
   * @param {(on: boolean, words: string) => void} onState
   */
  constructor(stage, player, onState) {
    this.stage = stage;
    this.player = player;
    this.onState = onState;
    this.recorder = null;
  }

  get on() {
    return this.recorder !== null;
  }

  toggle() {
    if (this.on) this.recorder.stop();
    else this.start();
  }

  start() {
    const type = typeof MediaRecorder === "undefined" ? undefined : TYPES.find((t) => MediaRecorder.isTypeSupported(t));
    const { shot } = this.stage();
    if (!type || !shot) {
      this.onState(false, type ? "There is no picture to record." : "This browser cannot record.");
      return;
    }
    const [height, width] = shot.size;
    this.canvas = make("canvas", { width, height });
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.player.want("recording", true);
    const tracks = this.player.recording.stream.getAudioTracks();
    const stream = new MediaStream([...this.canvas.captureStream().getVideoTracks(), ...tracks]);
    const pieces = [];
    let bytes = 0;
    const recorder = new MediaRecorder(stream, { mimeType: type });
    recorder.ondataavailable = ({ data }) => {
      pieces.push(data);
      bytes += data.size;
      if (bytes > LARGEST && recorder.state === "recording") recorder.stop();
    };
    recorder.onstop = () => {
      this.recorder = null;
      this.player.want("recording", false);
      save(new Blob(pieces, { type }), type.startsWith("video/mp4") ? "mp4" : "webm");
      this.onState(false, "The recording is saved.");
    };
    recorder.start(PIECE_MS);
    this.recorder = recorder;
    this.paint();
    this.onState(true, "Recording this page while it is visible.");
  }

  /** The stage was drawn. */
  paint() {
    const stage = this.stage();
    if (!this.on || !stage.shot) return;
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    stage.draw(this.context, this.canvas.width, this.canvas.height, performance.now() / 1000);
  }
}

function save(blob, ending) {
  const address = URL.createObjectURL(blob);
  const time = new Date().toISOString().slice(0, 19).replace(/\D/g, "-");
  make("a", { href: address, download: `streamavis-${time}.${ending}` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
