// On the audio thread: collects a microphone's samples into blocks of 20 ms, as 16-bit integers.

class Pcm extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Int16Array(Math.round(sampleRate / 50));
    this.filled = 0;
    this.first = 0; // number of the block's first sample, by the sound card's count
  }

  process([channels]) {
    const [left] = channels;
    if (!left) return true; // nothing is connected yet
    for (let n = 0; n < left.length; n += 1) {
      if (this.filled === 0) this.first = currentFrame + n;
      let sum = 0;
      for (const channel of channels) sum += channel[n];
      const value = Math.max(-1, Math.min(1, sum / channels.length));
      this.block[this.filled] = Math.round(value * 32767);
      this.filled += 1;
      if (this.filled === this.block.length) this.post();
    }
    return true;
  }

  post() {
    const samples = this.block.slice();
    this.port.postMessage({ first: this.first, samples }, [samples.buffer]);
    this.filled = 0;
  }
}

registerProcessor("pcm", Pcm);
