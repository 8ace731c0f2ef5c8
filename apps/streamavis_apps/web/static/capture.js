// This device's camera and microphone as the server's, over a WebSocket of their own.
// The bytes are described in streamavis_apps/web/feed.py.

const WIDTH = 640;
const FPS = 15;
const QUALITY = 0.8;
const IN_FLIGHT = 2; // pictures the server has not taken yet
const AGAIN_MS = 1000;
const BEHIND = 1 << 19; // bytes that wait; beyond them pictures are left out, then sound

/** Reads a microphone in blocks on the audio thread. */
const WORKLET = new URL("pcm-worklet.js", import.meta.url);

export class Capture {
  /** @param {(state: "off" | "asking" | "on" | "failed", words: string) => void} onState */
  constructor(onState) {
    this.onState = onState;
    this.stop();
  }

  /** Ask for the devices and begin; says clearly why it cannot. */
  async start() {
    this.onState("asking", "Allow your browser to use the camera and microphone.");
    try {
      this.stream = await devices();
      [this.camera] = this.stream.getVideoTracks();
      [this.microphone] = this.stream.getAudioTracks();
      for (const track of this.stream.getTracks()) track.onended = () => this.lose(track);
      if (this.microphone) await this.listen();
      await this.look();
      this.connect();
    } catch (error) {
      this.fail(explain(error));
    }
  }

  /** Let go of everything. */
  stop() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    const socket = this.socket;
    this.stream = this.camera = this.microphone = this.socket = null;
    this.accepted = false; // by the server, which has one camera at a time
    socket?.close();
    this.context?.close();
    this.context = this.video = null;
    clearTimeout(this.timer);
    this.flying = 0;
    this.busy = false;
  }

  fail(words) {
    this.stop();
    this.onState("failed", words);
  }

  connect() {
    const address = new URL("feed", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address);
    this.socket = socket;
    socket.onopen = () => {
      const names = { camera: this.camera.label, microphone: this.microphone?.label ?? null };
      socket.send(JSON.stringify({ kind: "begin", ...names }));
    };
    socket.onmessage = ({ data }) => {
      const { kind } = JSON.parse(data);
      if (kind === "taken") this.flying -= 1;
      if (kind === "accepted") this.begin();
    };
    socket.onclose = ({ reason }) => {
      if (socket !== this.socket) return;
      if (reason && reason !== "the server stops") this.fail(`The server refused the camera: ${reason}.`);
      else this.again();
    };
  }

  begin() {
    this.accepted = true;
    this.flying = 0;
    this.tell();
  }

  /** Say what is sent. */
  tell() {
    const camera = `Sending ${this.camera.label}`;
    if (!this.microphone) {
      this.onState("on", `${camera}. No microphone: sounding is unknown.`);
    } else if (this.context.state !== "running") {
      // It may want a click first, or a machine with a loudspeaker.
      this.onState("on", `${camera}. Your browser has not started the microphone's sound.`);
    } else this.onState("on", `${camera} and ${this.microphone.label}.`);
  }

  /** The connection is lost: keep the devices and reconnect. */
  again() {
    this.accepted = false;
    this.onState("asking", "The server is not reachable. Sending resumes when it is back.");
    this.timer = setTimeout(() => this.connect(), AGAIN_MS);
  }

  /** A device was unplugged, or its permission withdrawn. */
  lose(track) {
    const device = track.kind === "audio" ? "microphone" : "camera";
    const reason = "it was unplugged or its permission withdrawn";
    if (this.ready) this.socket.send(JSON.stringify({ kind: "trouble", device, reason }));
    if (device === "camera") this.fail(`The camera stopped: ${reason}.`);
    else this.onState("on", `The microphone stopped: ${reason}. Pictures are still sent.`);
  }

  /** Whether anything can be sent. */
  get ready() {
    return this.accepted && this.socket?.readyState === WebSocket.OPEN;
  }

  async look() {
    const video = document.createElement("video");
    video.muted = true;
    video.playsInline = true;
    video.srcObject = new MediaStream([this.camera]);
    this.video = video;
    await video.play();
    const canvas = document.createElement("canvas");
    const context = canvas.getContext("2d", { alpha: false });
    const next = () => this.video === video && video.requestVideoFrameCallback(take);
    const take = (now, about) => {
      next();
      if (!this.ready || this.busy || this.flying >= IN_FLIGHT) return;
      if (this.socket.bufferedAmount > BEHIND) return;
      this.busy = true;
      const scale = Math.min(1, WIDTH / Math.max(video.videoWidth, video.videoHeight));
      canvas.width = Math.round(video.videoWidth * scale);
      canvas.height = Math.round(video.videoHeight * scale);
      context.drawImage(video, 0, 0, canvas.width, canvas.height);
      const exact = about.captureTime !== undefined && about.captureTime <= now + 1000;
      const time = exact ? about.captureTime : now;
      canvas.toBlob((jpeg) => this.picture(jpeg, time, exact), "image/jpeg", QUALITY);
    };
    next();
  }

  async picture(jpeg, time, exact) {
    const payload = jpeg && new Uint8Array(await jpeg.arrayBuffer());
    this.busy = false;
    if (!payload || !this.ready) return;
    const message = new Uint8Array(18 + payload.length);
    const view = new DataView(message.buffer);
    view.setUint8(0, 1);
    view.setUint8(1, exact ? 1 : 0);
    view.setFloat64(2, time, true);
    view.setFloat64(10, performance.now(), true);
    message.set(payload, 18);
    this.socket.send(message);
    this.flying += 1;
  }

  async listen() {
    const context = new AudioContext({ latencyHint: "interactive" });
    this.context = context;
    context.onstatechange = () => this.accepted && this.tell();
    await context.audioWorklet.addModule(WORKLET);
    const node = new AudioWorkletNode(context, "pcm", { numberOfOutputs: 0 });
    context.createMediaStreamSource(new MediaStream([this.microphone])).connect(node);
    const latency = this.microphone.getSettings().latency ?? 0;
    node.port.onmessage = ({ data: { first, samples } }) => {
      if (!this.ready || this.socket.bufferedAmount > 2 * BEHIND) return;
      const message = new ArrayBuffer(34 + samples.byteLength);
      const view = new DataView(message);
      view.setUint8(0, 2);
      view.setFloat64(2, first, true);
      view.setFloat64(10, performance.now(), true);
      view.setFloat64(18, performance.now(), true);
      view.setUint32(26, context.sampleRate, true);
      view.setFloat32(30, Math.max(0, Math.min(1, latency)), true);
      new Uint8Array(message, 34).set(new Uint8Array(samples.buffer));
      this.socket.send(message);
    };
    // Not awaited: a browser that wants a click first must not hold up the pictures.
    context.resume();
  }
}

async function devices() {
  if (!navigator.mediaDevices?.getUserMedia) throw new DOMException("", "SecurityError");
  // The width alone: asked for a height too, browsers cut the picture to that shape.
  const video = { width: WIDTH, frameRate: FPS, facingMode: "environment", resizeMode: "none" };
  // What helps calls hurts here: the model wants the room as it sounds.
  const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  try {
    return await navigator.mediaDevices.getUserMedia({ video, audio });
  } catch (error) {
    // A machine without a microphone can still send pictures.
    if (error.name !== "NotFoundError") throw error;
    return navigator.mediaDevices.getUserMedia({ video });
  }
}

function explain(error) {
  const words = {
    NotAllowedError:
      "The camera or microphone was not allowed. Allow both for this page (in most browsers at the " +
      "left end of the address bar), then try again.",
    NotFoundError: "This device has no camera.",
    NotReadableError: "The camera or microphone is in use by another program. Close it, then try again.",
    OverconstrainedError: "This camera has no usable picture size.",
    SecurityError:
      "Browsers give a camera to secure pages only. Open this page through an SSH tunnel " +
      "(ssh -L 8765:localhost:8765 SERVER, then http://localhost:8765) or over HTTPS.",
  };
  return words[error.name] ?? `The camera or microphone cannot be used: ${error.message || error.name}.`;
}
