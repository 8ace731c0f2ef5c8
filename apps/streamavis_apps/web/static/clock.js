// The server's clocks as this page knows them: the delay from the camera to this screen needs them.

const EVERY_MS = 2000;
const KEPT = 8;
const WEIGHT = 0.15; // of the newest picture in the mean

export class ServerClock {
  /** @param {(message: object) => void} send */
  constructor(send) {
    this.send = send;
    this.reset();
    setInterval(() => this.ask(), EVERY_MS);
  }

  /** Another server, whose clock is another. */
  reset() {
    this.answers = []; // {trip, offset} in ms
    this.offset = null; // server's monotonic clock less this page's, ms
    this.wall = 0; // server's wall clock less this page's, s
    this.delay = null;
  }

  ask() {
    this.send({ kind: "ping", at: performance.now() });
  }

  /** The answer; the one that was on its way for the shortest time is the most exact. */
  answer({ at, monotonic_ns: then }) {
    const now = performance.now();
    this.answers.push({ trip: now - at, offset: then / 1e6 - (now + at) / 2 });
    this.answers = this.answers.slice(-KEPT);
    this.offset = this.answers.reduce((best, one) => (one.trip < best.trip ? one : best)).offset;
  }

  /** A status, which carries the server's wall clock. */
  told({ wall_time: wall }) {
    this.wall = wall - Date.now() / 1000;
  }

  /** Seconds since 1970, the server's clock. */
  get now() {
    return Date.now() / 1000 + this.wall;
  }

  /** A picture is on the screen; the mean delay since it was captured, ms, or null. */
  drawn({ stamps }) {
    if (this.offset === null || stamps.capture === undefined) return null;
    const delay = Math.max(0, performance.now() + this.offset - stamps.capture / 1e6);
    this.delay = this.delay === null ? delay : this.delay + WEIGHT * (delay - this.delay);
    return this.delay;
  }
}
