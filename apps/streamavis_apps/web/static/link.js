// The connection to the server: comes back by itself, and says clearly how it is doing.

const FIRST_MS = 250;
const LONGEST_MS = 5000;
const DECODER = new TextDecoder();

/**
 * @typedef {"connecting" | "open" | "lost" | "refused"} Phase
 */
export class Link {
  /**
   * @param {(message: object) => void} onText
   * @param {(header: object, jpeg: Uint8Array) => void} onPicture
   * @param {(phase: Phase, reason: string) => void} onPhase
   * @param {(time: number, samples: Int16Array) => void} onSound begins at a time of the stream, s
   */
  constructor(onText, onPicture, onPhase, onSound = () => {}) {
    this.onSound = onSound;
    this.onText = onText;
    this.onPicture = onPicture;
    this.onPhase = onPhase;
    this.stream = "";
    this.socket = null;
    this.failures = 0;
    this.timer = 0;
    // A laptop that wakes, a network that is back: try at once.
    addEventListener("online", () => this.retry());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.retry();
    });
  }

  /** Connect, to one stream or to the first there is. */
  open(stream = this.stream) {
    this.stream = stream;
    clearTimeout(this.timer);
    this.timer = 0;
    if (this.socket) this.socket.onclose = null;
    this.socket?.close();
    const address = new URL("view", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    address.search = stream ? new URLSearchParams({ stream }).toString() : "";
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.onPhase("open", "");
    socket.onmessage = ({ data }) => {
      this.failures = 0; // a server that only accepts and hangs up is not back yet
      if (typeof data === "string") this.onText(JSON.parse(data));
      else this.unpack(data);
    };
    socket.onclose = ({ reason }) => this.lost(reason);
    this.socket = socket;
  }

  /** Close for good. */
  close() {
    clearTimeout(this.timer);
    this.timer = 0;
    if (this.socket) this.socket.onclose = null;
    this.socket?.close();
    this.socket = null;
  }

  /** Try again now if it was waiting. */
  retry() {
    if (this.timer) this.open();
  }

  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  unpack(data) {
    const length = new DataView(data).getUint32(0);
    const header = JSON.parse(DECODER.decode(new Uint8Array(data, 4, length)));
    if (header.sound) this.onSound(header.sound.time_s, new Int16Array(data, 4 + length));
    else this.onPicture(header, new Uint8Array(data, 4 + length));
  }

  async lost(reason) {
    const wait = Math.min(LONGEST_MS, FIRST_MS * 2 ** this.failures) * (0.8 + 0.4 * Math.random());
    this.failures += 1;
    this.timer = setTimeout(() => this.open(), wait);
    this.onPhase("lost", reason);
    // A WebSocket reports a refusal and a missing server alike.
    try {
      const answer = await fetch("api/settings");
      if (answer.status === 401) this.onPhase("refused", "");
    } catch {
      // Not reachable: the timer tries again.
    }
  }
}
