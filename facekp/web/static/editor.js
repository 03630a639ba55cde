// Faces on the stage: drawing them, and the pointer's gestures. A face is a plain object that is
// never modified: { box, angle, score, points, moved, occluded }, as the server gives it.

import { carried, centre, contains, corners, distanceToOutline, handles, moved, resize, turn } from "./geometry.js";

const REACH = { mouse: 11, pen: 14, touch: 24 }; // screen pixels within which something is hit
const POINT = 3.6; // radius on the screen
const STEM = 26; // from the box to the handle that turns it
const LEAST = 6; // screen pixels of a box that was drawn, rather than a click

const SVG = "http://www.w3.org/2000/svg";

function element(name, attributes, parent) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent.append(made);
  return made;
}

export class Editor {
  /**
   * `actions` has `commit(faces, key)` (a change is complete), `fit(box, angle)` (a promise of
   * points), `changed()` (the selection has), `readout(text)`, and `failed(error)`.
   */
  constructor(stage, magnifier, view, scheme, actions) {
    Object.assign(this, { stage, magnifier, view, scheme, actions });
    this.overlay = stage.querySelector("#overlay");
    this.faces = [];
    this.selected = -1;
    this.point = -1;
    this.gesture = null;
    this.drawing = false;
    this.labels = false;
    this.fitting = 0; // fits that are under way
    this.waiting = []; // what is done after them
    this.pointers = new Map();
    for (const type of ["pointerdown", "pointermove", "pointerup", "pointercancel"]) {
      stage.addEventListener(type, (event) => this[type](event));
    }
    stage.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && this.actions.readout(""));
    stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  get face() {
    return this.faces[this.selected];
  }

  /** Resolves once no fit is under way, so that its change is complete. */
  async settled() {
    while (this.fitting) await new Promise((resume) => this.waiting.push(resume)); // what waited may fit again
  }

  get busy() {
    return this.gesture !== null || this.fitting > 0;
  }

  /** Shows faces; the selection stays if it can. */
  show(faces) {
    this.faces = faces;
    this.selected = Math.min(this.selected, faces.length - 1);
    if (this.selected < 0 && faces.length) this.selected = 0;
    if (!this.face) this.point = -1;
    this.draw();
    this.actions.changed();
    this.readSelection();
  }

  select(face, point = -1) {
    if (this.gesture) return;
    this.selected = face;
    this.point = point;
    this.draw();
    this.actions.changed();
    this.readSelection();
  }

  /** Describes the selected point, or says nothing if there is none. */
  readSelection() {
    if (this.face && this.point >= 0) this.describe(this.point);
    else this.actions.readout("");
  }

  setDrawing(drawing) {
    this.drawing = drawing;
    this.stage.classList.toggle("drawing", drawing);
    this.actions.changed();
  }

  describe(point) {
    const place = this.face.points[point];
    const marks = [
      this.face.moved.includes(point) && "placed by hand",
      this.face.occluded.includes(point) && "occluded",
      !place && "missing",
    ].filter(Boolean);
    const at = place ? `${place[0].toFixed(1)}, ${place[1].toFixed(1)}` : "";
    const name = this.scheme.names[point];
    this.actions.readout([`point ${name}`, at, ...marks].filter(Boolean).join("  "));
  }

  // Drawing

  draw() {
    this.overlay.replaceChildren();
    for (const [at, face] of this.faces.entries()) if (at !== this.selected) this.drawFace(face, false);
    if (this.face) this.drawFace(this.face, true);
    if (this.gesture?.type === "draw" && this.gesture.box) {
      this.outline(this.gesture.box, 0, this.overlay);
    }
  }

  outline(box, angle, parent) {
    const points = corners(box, angle).map((corner) => corner.join(",")).join(" ");
    element("polygon", { points, class: "box" }, parent);
  }

  drawFace(face, selected) {
    const group = element("g", { class: selected ? "face" : "face other" }, this.overlay);
    const scale = this.view.scale;
    this.outline(face.box, face.angle, group);
    for (const chain of this.scheme.skeleton) {
      const parts = [[]];
      for (const at of chain) {
        if (face.points[at]) parts.at(-1).push(face.points[at].join(","));
        else parts.push([]);
      }
      for (const part of parts) if (part.length > 1) element("polyline", { points: part.join(" "), class: "line" }, group);
    }
    // Points of a small face would hide it.
    const side = (face.box[2] - face.box[0]) * scale;
    const radius = Math.min(selected ? POINT : POINT * 0.55, Math.max(1.1, side / (selected ? 60 : 90))) / scale;
    for (const [at, place] of face.points.entries()) if (place) this.drawPoint(group, face, at, place, radius, selected);
    if (!selected) return;
    for (const handle of handles(face.box, face.angle)) {
      const side = (handle.direction.includes(0) ? 3.5 : 4.5) / scale;
      const [x, y] = [handle.at[0] - side, handle.at[1] - side];
      const spin = `rotate(${face.angle} ${handle.at[0]} ${handle.at[1]})`;
      element("rect", { x, y, width: 2 * side, height: 2 * side, class: "handle", transform: spin }, group);
    }
    const [from, to] = this.stem(face);
    element("line", { x1: from[0], y1: from[1], x2: to[0], y2: to[1], class: "stem" }, group);
    element("circle", { cx: to[0], cy: to[1], r: 6 / scale, class: "handle" }, group);
  }

  drawPoint(group, face, at, place, radius, selected) {
    const classes = ["point"];
    if (face.moved.includes(at)) classes.push("moved");
    if (face.occluded.includes(at)) classes.push("occluded");
    if (selected && at === this.point) classes.push("selected");
    const size = selected && at === this.point ? radius * 1.5 : radius;
    const circle = element("circle", { cx: place[0], cy: place[1], r: size, class: classes.join(" "), "data-point": at }, group);
    if (!selected) return;
    element("title", {}, circle).textContent = this.scheme.names[at];
    if (this.labels) {
      const label = { x: place[0] + 5 / this.view.scale, y: place[1] - 4 / this.view.scale, class: "label" };
      const text = element("text", label, group);
      text.textContent = this.scheme.names[at];
      text.setAttribute("font-size", 11 / this.view.scale);
    }
  }

  /** Both ends of the line from a box to the handle that turns it. */
  stem(face) {
    const middle = centre(face.box);
    const top = [middle[0], face.box[1]];
    const end = [middle[0], face.box[1] - STEM / this.view.scale];
    return [turn(top, middle, face.angle), turn(end, middle, face.angle)];
  }

  // What is under the pointer

  hit(event) {
    const at = this.view.toPhoto(event);
    const reach = (REACH[event.pointerType] ?? REACH.mouse) / this.view.scale;
    const found = [];
    const face = this.face;
    const distance = (place) => Math.hypot(place[0] - at[0], place[1] - at[1]);
    if (face) {
      for (const [point, place] of face.points.entries()) {
        if (place) found.push({ type: "point", point, distance: distance(place) });
      }
      for (const { direction, at: place } of handles(face.box, face.angle)) {
        found.push({ type: "resize", direction, distance: distance(place) });
      }
      found.push({ type: "turn", distance: distance(this.stem(face)[1]) });
      // An edge only where nothing smaller is as near.
      found.push({ type: "moveBox", distance: distanceToOutline(face.box, face.angle, at) + reach / 2 });
    }
    const nearest = found.reduce((best, one) => (one.distance < best.distance ? one : best), { distance: Infinity });
    return nearest.distance <= reach ? nearest : { type: "pan" };
  }

  // Gestures

  async pointerdown(event) {
    this.stage.focus({ preventScroll: true });
    if (event.button > 1) return;
    this.stage.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, event);
    if (this.fitting) await this.settled();
    if (!this.pointers.has(event.pointerId)) return; // it was let go in the meantime
    const at = this.view.toPhoto(event);
    if (this.pointers.size === 2) {
      this.abandon();
      this.gesture = { type: "pinch" };
      return;
    }
    if (this.pointers.size > 2) return;
    const start = { at, x: event.clientX, y: event.clientY, dragged: false, faces: this.faces };
    if (event.button === 1) this.gesture = { type: "pan", ...start };
    else if (this.drawing) this.gesture = { type: "draw", ...start };
    else this.gesture = { ...start, ...this.hit(event) };
    if (this.gesture.type === "point") {
      this.point = this.gesture.point;
      const place = this.face.points[this.point];
      this.gesture.offset = [place[0] - at[0], place[1] - at[1]];
      this.draw();
      this.actions.changed();
      this.describe(this.point);
      this.view.magnify(this.magnifier, place);
    }
    this.stage.classList.toggle("panning", this.gesture.type === "pan");
  }

  pointermove(event) {
    if (!this.pointers.has(event.pointerId)) {
      this.hover(event);
      return;
    }
    const before = this.pointers.get(event.pointerId);
    if (this.gesture?.type === "pinch") this.pinch(event);
    this.pointers.set(event.pointerId, event);
    const gesture = this.gesture;
    if (!gesture || gesture.type === "pinch") return;
    const far = Math.hypot(event.clientX - gesture.x, event.clientY - gesture.y) > 3;
    gesture.dragged ||= far;
    if (!gesture.dragged) return;
    if (gesture.type === "pan") this.view.pan(event.clientX - before.clientX, event.clientY - before.clientY);
    else this.drag(this.view.toPhoto(event), event.shiftKey);
  }

  drag(at, constrained) {
    const gesture = this.gesture;
    const face = gesture.faces[this.selected];
    if (gesture.type === "draw") {
      const [[x, y], [u, v]] = [gesture.at, at];
      gesture.box = [Math.min(x, u), Math.min(y, v), Math.max(x, u), Math.max(y, v)];
      this.draw();
    } else if (gesture.type === "point") {
      const to = [at[0] + gesture.offset[0], at[1] + gesture.offset[1]];
      this.faces = this.withFace(gesture.faces, placed(face, this.point, to));
      this.draw();
      this.describe(this.point);
      this.view.magnify(this.magnifier, to);
    } else if (gesture.type === "moveBox") {
      this.preview(moved(face.box, at[0] - gesture.at[0], at[1] - gesture.at[1]), face.angle);
    } else if (gesture.type === "resize") {
      const box = resize(face.box, face.angle, gesture.direction, at);
      if (box[2] - box[0] > 1 && box[3] - box[1] > 1) this.preview(box, face.angle);
    } else if (gesture.type === "turn") {
      const [x, y] = centre(face.box);
      let angle = (Math.atan2(at[1] - y, at[0] - x) * 180) / Math.PI + 90;
      if (constrained) angle = Math.round(angle / 15) * 15;
      this.preview(face.box, angle > 180 ? angle - 360 : angle);
    }
  }

  pointerup(event) {
    this.pointers.delete(event.pointerId);
    this.stage.classList.remove("panning");
    this.magnifier.setAttribute("hidden", "");
    const gesture = this.gesture;
    if (gesture?.type === "pinch") {
      if (!this.pointers.size) this.gesture = null;
      return;
    }
    this.gesture = null;
    if (!gesture) return;
    if (gesture.type === "draw") this.endDrawing(gesture);
    else if (!gesture.dragged) this.click(gesture);
    else if (gesture.type === "point") this.actions.commit(this.faces);
    else if (gesture.type !== "pan") this.refit(this.selected);
  }

  pointercancel(event) {
    this.pointers.delete(event.pointerId);
    this.abandon();
  }

  /** Ends a gesture as if it had not been made. */
  abandon() {
    if (this.gesture?.faces) this.faces = this.gesture.faces;
    this.gesture = null;
    this.magnifier.setAttribute("hidden", "");
    this.draw();
    this.readSelection();
  }

  pinch(event) {
    const other = [...this.pointers.values()].find((one) => one.pointerId !== event.pointerId);
    const before = this.pointers.get(event.pointerId);
    if (!other) return;
    const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
    const middle = { clientX: (event.clientX + other.clientX) / 2, clientY: (event.clientY + other.clientY) / 2 };
    this.view.zoom(apart(event) / apart(before), this.view.toPhoto(middle));
    this.view.pan((event.clientX - before.clientX) / 2, (event.clientY - before.clientY) / 2);
  }

  wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    const step = Math.max(-120, Math.min(120, event.deltaY * lines));
    this.view.zoom(Math.exp(-step * (event.ctrlKey ? 0.01 : 0.0022)), this.view.toPhoto(event));
  }

  hover(event) {
    if (this.drawing) return;
    const hit = this.hit(event);
    this.stage.classList.toggle("on-point", hit.type !== "pan");
    if (hit.type === "point") this.describe(hit.point);
    else this.actions.readout("");
  }

  /** A click selects a point, or the smallest face whose box is there. */
  click(gesture) {
    if (gesture.type === "point") return;
    const inside = this.faces
      .map((face, at) => ({ at, face }))
      .filter(({ face }) => contains(face.box, face.angle, gesture.at))
      .sort((a, b) => a.face.box[2] - a.face.box[0] - (b.face.box[2] - b.face.box[0]));
    const chosen = inside.find(({ at }) => at !== this.selected) ?? inside[0];
    this.select(chosen && gesture.type === "pan" ? chosen.at : this.selected);
  }

  endDrawing(gesture) {
    const box = gesture.box;
    const least = LEAST / this.view.scale;
    if (!box || box[2] - box[0] < least || box[3] - box[1] < least) {
      this.draw();
      return;
    }
    this.setDrawing(false);
    this.add(box);
  }

  // Changes

  /** Adds a face in a box, and fits its points. */
  async add(box, angle = 0) {
    const points = await this.fitted(box, angle);
    if (!points) return;
    this.selected = this.faces.length;
    this.point = -1;
    this.actions.commit([...this.faces, { box, angle, score: 1, points, moved: [], occluded: [] }]);
  }

  /** Shows the selected face in another box, its points carried along. */
  preview(box, angle) {
    const face = this.gesture?.faces[this.selected] ?? this.face;
    const points = face.points.map((place, at) =>
      place && !face.moved.includes(at) ? carried(place, face.box, face.angle, box, angle) : place);
    this.faces = this.withFace(this.faces, { ...face, box, angle, points });
    this.draw();
  }

  /** Fits a face's points in its box, but for those placed by hand, and completes the change. */
  async refit(number, key = null) {
    const face = this.faces[number];
    const points = await this.fitted(face.box, face.angle);
    const kept = (place, at) => !place || face.moved.includes(at);
    const merged = points ? { ...face, points: face.points.map((place, at) => (kept(place, at) ? place : points[at])) } : face;
    if (!this.faces.includes(face)) return; // another photo, or an undo, came first
    this.actions.commit(this.faces.map((one) => (one === face ? merged : one)), key);
  }

  /** Points in a box; undefined if they cannot be had. */
  async fitted(box, angle) {
    this.fitting += 1;
    try {
      return await this.actions.fit(box, angle);
    } catch (error) {
      this.actions.failed(error);
      return undefined;
    } finally {
      this.fitting -= 1;
      // After the change that the points are for.
      if (!this.fitting) setTimeout(() => this.waiting.splice(0).forEach((resume) => resume()));
    }
  }

  withFace(faces, face) {
    return faces.map((one, at) => (at === this.selected ? face : one));
  }
}

/** A face with a point placed by hand. */
export function placed(face, point, to) {
  return {
    ...face,
    points: face.points.map((place, at) => (at === point ? to : place)),
    moved: including(face.moved, point, true),
  };
}

/** A list of numbers with one in it, or not. */
export function including(numbers, number, wanted) {
  const others = numbers.filter((one) => one !== number);
  return wanted ? [...others, number].sort((a, b) => a - b) : others;
}
