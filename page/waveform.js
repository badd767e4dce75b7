/** The level meter: a calm strip of the last seconds' loudness; a single steady bar for readers who prefer less motion. */

const BAR_PX = 3;
const STEP_PX = 6;
const LEVELS_PER_BAR = 3;
const BAR_MS = 20 * LEVELS_PER_BAR;
const KEPT_BARS = 512;
/** Levels come five at a time: the strip trails by this many bars to move evenly. */
const LAG_BARS = 4;
const SPOKEN_EVERY_MS = 500;

export class Waveform {
  #still = matchMedia('(prefers-reduced-motion: reduce)');
  #running = false;
  /** @type {number[]} loudness of each bar, newest last */
  #bars = [];
  /** @type {number[]} levels of the bar in the making */
  #making = [];
  #position = 0;
  #drawnAtMs = 0;
  #spokenAtMs = 0;
  #frame = 0;

  /** @param {HTMLCanvasElement} canvas @param {HTMLElement} meter carries the value for assistive technology */
  constructor(canvas, meter) {
    this.canvas = canvas;
    this.meter = meter;
    new ResizeObserver(() => this.#draw()).observe(canvas);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#draw());
  }

  start() {
    this.stop();
    this.#running = true;
    this.#drawnAtMs = performance.now();
    this.#tick();
  }

  stop() {
    this.#running = false;
    this.#bars = [];
    this.#making = [];
    this.#position = 0;
    cancelAnimationFrame(this.#frame);
    this.meter.setAttribute('aria-valuenow', '0');
    this.#draw();
  }

  /** @param {number[]} levels one for every 20 ms */
  push(levels) {
    this.#making.push(...levels);
    while (this.#making.length >= LEVELS_PER_BAR) this.#bars.push(Math.max(...this.#making.splice(0, LEVELS_PER_BAR)));
    if (this.#bars.length > KEPT_BARS) {
      this.#bars.splice(0, KEPT_BARS / 2);
      this.#position -= KEPT_BARS / 2;
    }
    const nowMs = performance.now();
    if (nowMs - this.#spokenAtMs < SPOKEN_EVERY_MS) return;
    this.#spokenAtMs = nowMs;
    this.meter.setAttribute('aria-valuenow', String(Math.round(Math.max(...levels) * 100)));
    if (this.#still.matches) this.#draw();
  }

  #tick() {
    this.#frame = requestAnimationFrame((nowMs) => {
      const moved = this.#position + (nowMs - this.#drawnAtMs) / BAR_MS;
      this.#position = Math.min(this.#bars.length, Math.max(moved, this.#bars.length - LAG_BARS));
      this.#drawnAtMs = nowMs;
      if (!this.#still.matches) this.#draw();
      if (this.#running) this.#tick();
    });
  }

  #draw() {
    const { canvas } = this;
    const [width, height, ratio] = [canvas.clientWidth, canvas.clientHeight, window.devicePixelRatio || 1];
    const pen = canvas.getContext('2d');
    if (!pen || width === 0) return;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    pen.scale(ratio, ratio);
    pen.fillStyle = getComputedStyle(canvas).color;
    if (this.#still.matches && this.#running) this.#drawStill(pen, width, height);
    else this.#drawMoving(pen, width, height);
  }

  /** @param {CanvasRenderingContext2D} pen @param {number} width @param {number} height */
  #drawStill(pen, width, height) {
    const value = Math.max(0, ...this.#bars.slice(-LEVELS_PER_BAR * 3));
    pen.globalAlpha = 0.25;
    this.#bar(pen, 0, height / 2 - 2, width, 4);
    pen.globalAlpha = 1;
    this.#bar(pen, 0, height / 2 - 2, Math.max(4, width * value), 4);
  }

  /** @param {CanvasRenderingContext2D} pen @param {number} width @param {number} height */
  #drawMoving(pen, width, height) {
    const newest = Math.ceil(this.#position);
    for (let at = newest; (this.#position - at) * STEP_PX < width + STEP_PX; at -= 1) {
      const value = this.#bars[at] ?? 0;
      const tall = BAR_PX + value ** 1.5 * (height - BAR_PX);
      pen.globalAlpha = value > 0.05 ? 1 : 0.3;
      this.#bar(pen, width - (this.#position - at + 1) * STEP_PX, (height - tall) / 2, BAR_PX, tall);
    }
  }

  /** @param {CanvasRenderingContext2D} pen @param {number} x @param {number} y @param {number} w @param {number} h */
  #bar(pen, x, y, w, h) {
    pen.beginPath();
    pen.roundRect(x, y, w, h, Math.min(w, h) / 2);
    pen.fill();
  }
}
