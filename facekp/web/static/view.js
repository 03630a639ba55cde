// The photo on the stage: zoom and pan, and its pixels as sharp as the zoom needs.

const MARGIN = 0.04; // around a whole photo, in its sides
const MOST = 60; // screen pixels per pixel of the photo

export class View {
  /** `changed` is called whenever the view has moved. */
  constructor(stage, changed) {
    this.stage = stage;
    this.base = stage.querySelector("#base");
    this.detail = stage.querySelector("#detail");
    this.changed = changed;
    this.width = this.height = 1;
    this.left = this.top = 0;
    this.scale = 1; // screen pixels per pixel of the photo
    this.whole = true;
    this.timer = 0;
    new ResizeObserver(() => (this.whole ? this.fit() : this.update())).observe(stage);
  }

  /** Shows a photo of a size. */
  show(number, width, height) {
    this.clear();
    Object.assign(this, { number, width, height });
    place(this.base, `photos/${number}/view`, 0, 0, width, height);
    this.fit();
  }

  clear() {
    for (const image of [this.base, this.detail]) image.removeAttribute("href");
    this.wanted = null;
    this.number = undefined;
  }

  /** Screen pixels of the stage. */
  get size() {
    return [this.stage.clientWidth || 1, this.stage.clientHeight || 1];
  }

  /** The position of a pointer in pixels of the photo. */
  toPhoto(event) {
    const bounds = this.stage.getBoundingClientRect();
    return [this.left + (event.clientX - bounds.left) / this.scale, this.top + (event.clientY - bounds.top) / this.scale];
  }

  fit() {
    this.whole = true;
    this.showBox([-0.5, -0.5, this.width - 0.5, this.height - 0.5], 1 + 2 * MARGIN);
    this.whole = true;
  }

  /** Shows a box, with some of its surroundings. */
  showBox([left, top, right, bottom], factor = 1.5) {
    const [w, h] = this.size;
    this.whole = false;
    this.scale = Math.min(MOST, w / (right - left) / factor, h / (bottom - top) / factor);
    this.left = (left + right) / 2 - w / this.scale / 2;
    this.top = (top + bottom) / 2 - h / this.scale / 2;
    this.update();
  }

  /** Zooms, so that a place of the photo stays where it is on the screen. */
  zoom(factor, [x, y]) {
    const [w, h] = this.size;
    const least = Math.min(w / this.width, h / this.height) / 4;
    const scale = Math.min(MOST, Math.max(least, this.scale * factor));
    this.left = x - ((x - this.left) * this.scale) / scale;
    this.top = y - ((y - this.top) * this.scale) / scale;
    this.scale = scale;
    this.whole = false;
    this.update();
  }

  get middle() {
    const [w, h] = this.size;
    return [this.left + w / this.scale / 2, this.top + h / this.scale / 2];
  }

  /** Moves the photo by screen pixels; its middle stays on the stage. */
  pan(dx, dy) {
    this.left -= dx / this.scale;
    this.top -= dy / this.scale;
    const [x, y] = this.middle;
    this.left += Math.min(Math.max(x, 0), this.width) - x;
    this.top += Math.min(Math.max(y, 0), this.height) - y;
    this.whole = false;
    this.update();
  }

  /** Moves the view so that a point can be seen. */
  reveal([x, y]) {
    const [w, h] = this.size.map((n) => n / this.scale);
    const [mx, my] = [w * 0.08, h * 0.08];
    const dx = Math.min(x - mx - this.left, 0) + Math.max(x + mx - this.left - w, 0);
    const dy = Math.min(y - my - this.top, 0) + Math.max(y + my - this.top - h, 0);
    if (dx || dy) this.pan(-dx * this.scale, -dy * this.scale);
  }

  update() {
    const [w, h] = this.size;
    this.stage.setAttribute("viewBox", `${this.left} ${this.top} ${w / this.scale} ${h / this.scale}`);
    this.stage.classList.toggle("pixels", this.scale > 6);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.sharpen(), 150);
    this.changed();
  }

  /** Loads the visible part if the whole photo was reduced more than the zoom allows. */
  sharpen() {
    const reduced = 2048 / Math.max(this.width, this.height);
    this.wanted = null; // what is still loading is of another part
    if (this.number === undefined || reduced >= 1 || this.scale * devicePixelRatio <= reduced * 1.1) {
      this.detail.removeAttribute("href");
      return;
    }
    const [w, h] = this.size.map((n) => n / this.scale);
    const left = Math.max(0, Math.floor(this.left - w * 0.1));
    const top = Math.max(0, Math.floor(this.top - h * 0.1));
    const right = Math.min(this.width, Math.ceil(this.left + w * 1.1));
    const bottom = Math.min(this.height, Math.ceil(this.top + h * 1.1));
    if (left >= right || top >= bottom) return;
    const address = `photos/${this.number}/part?left=${left}&top=${top}&right=${right}&bottom=${bottom}`;
    const loading = new Image();
    loading.onload = () => {
      if (this.wanted === address) place(this.detail, address, left, top, right - left, bottom - top);
    };
    this.wanted = address;
    loading.src = address;
  }

  /** Shows the surroundings of a point, enlarged, in another SVG. */
  magnify(magnifier, [x, y]) {
    const images = magnifier.querySelectorAll("image");
    for (const [at, source] of [this.base, this.detail].entries()) {
      for (const name of ["href", "x", "y", "width", "height"]) {
        const value = source.getAttribute(name);
        if (value === null) images[at].removeAttribute(name);
        else images[at].setAttribute(name, value);
      }
    }
    const side = Math.min(0.25 * Math.min(this.width, this.height), 150 / (this.scale * 3));
    magnifier.setAttribute("viewBox", `${x - side / 2} ${y - side / 2} ${side} ${side}`);
    const circle = magnifier.querySelector("circle");
    for (const [name, value] of [["cx", x], ["cy", y], ["r", side / 24]]) circle.setAttribute(name, value);
    const middle = this.left + this.size[0] / this.scale / 2;
    magnifier.classList.toggle("right", x < middle);
    magnifier.removeAttribute("hidden");
  }
}

function place(image, address, left, top, width, height) {
  // The centre of the first pixel is (0, 0).
  const values = { x: left - 0.5, y: top - 0.5, width, height, href: address };
  for (const [name, value] of Object.entries(values)) image.setAttribute(name, value);
}
