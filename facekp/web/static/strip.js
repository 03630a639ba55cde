// The photos as a strip: small pictures, with how far each is.

export class Strip {
  /** `chosen(number)` is called when a photo is clicked. */
  constructor(list, chosen) {
    this.list = list;
    this.chosen = chosen;
    this.photos = [];
    this.items = [];
    this.order = [];
    this.byName = false;
    this.current = -1;
    // Pictures are loaded when they come near the visible part.
    this.seen = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        const image = entry.target.querySelector("img");
        image.src = image.dataset.src;
        this.seen.unobserve(entry.target);
      }
    }, { root: list, rootMargin: "300px" });
  }

  /** Shows the states of all photos. */
  update(photos) {
    if (!this.items.length) this.items = photos.map((photo, number) => this.item(photo, number));
    const before = this.photos;
    this.photos = photos;
    for (const [number, photo] of photos.entries()) {
      if (!before[number] || JSON.stringify(photo) !== JSON.stringify(before[number])) this.refresh(number);
    }
    if (!this.order.length) this.sort();
  }

  /** Replaces the state of one photo. */
  updateOne(number, photo) {
    this.photos[number] = photo;
    this.refresh(number);
  }

  item(photo, number) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    const image = document.createElement("img");
    image.alt = "";
    image.dataset.src = `photos/${number}/thumbnail`;
    const title = document.createElement("span");
    title.className = "title";
    const state = document.createElement("span");
    state.className = "state";
    button.append(image, title, state);
    button.addEventListener("click", () => this.chosen(number));
    item.append(button);
    this.seen.observe(item);
    return item;
  }

  refresh(number) {
    const photo = this.photos[number];
    const item = this.items[number];
    item.querySelector(".title").textContent = baseName(photo);
    item.querySelector(".state").textContent = describe(photo);
    const unit = photo.labelled
      ? "how far the labels are from the network's points, in % of the box"
      : "how much the network's points depend on the crop, in % of the box";
    item.querySelector("button").title = `${photo.name}: ${photo.error || unit}`;
    item.classList.toggle("edited", photo.edited);
    item.classList.toggle("unusable", Boolean(photo.error));
  }

  /** Orders the photos anew. */
  sort() {
    this.order = this.photos.map((_, number) => number);
    if (!this.byName) {
      const unsure = (number) => this.photos[number].disagreement ?? -1;
      this.order.sort((a, b) => unsure(b) - unsure(a) || a - b);
    }
    this.list.append(...this.order.map((number) => this.items[number]));
    this.reveal();
  }

  /** Marks a photo as the one on the stage. */
  mark(number) {
    this.items[this.current]?.querySelector("button").removeAttribute("aria-current");
    this.current = number;
    this.items[number].querySelector("button").setAttribute("aria-current", "true");
    this.reveal();
  }

  reveal() {
    this.items[this.current]?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  /** The photo that comes `step` after the current one; undefined at the end. */
  beside(step) {
    return this.order[this.order.indexOf(this.current) + step];
  }

  /** The next photo that nobody has looked through; undefined if there is none. */
  nextOpen() {
    const at = this.order.indexOf(this.current);
    const later = [...this.order.slice(at + 1), ...this.order.slice(0, at)];
    return later.find((number) => !this.photos[number].edited && !this.photos[number].error);
  }
}

/** A photo's name without its folders. */
export const baseName = (photo) => photo.name.split(/[\\/]/).at(-1);

function describe(photo) {
  if (photo.error) return "cannot be used";
  if (photo.edited) return photo.faces ? "✓ corrected" : "✓ no face";
  if (photo.faces === null) return "…";
  if (photo.faces === 0) return "no face found";
  const faces = photo.faces > 1 ? `${photo.faces} faces, ` : "";
  if (photo.disagreement === null) return `${faces}…`;
  const share = `${(100 * photo.disagreement).toFixed(1)} %`;
  return `${faces}${photo.labelled ? "differs" : "unsure"} ${share}`;
}
