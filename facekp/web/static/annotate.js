// The annotation page: photos, their faces, and saving every change at once.

import { announceClosing, page, request } from "./api.js";
import { Editor, including, placed } from "./editor.js";
import { centre, overlap } from "./geometry.js";
import { History } from "./history.js";
import { ACTIONS, actionOf, keyName, listKeys } from "./keys.js";
import { baseName, Strip } from "./strip.js";
import { View } from "./view.js";

const BATCH = 20; // corrected photos after which training is offered
const POLL = 1500; // milliseconds between looks at the server
const RETRY = 3000; // milliseconds after which a change that could not be saved is sent again

const byId = (id) => document.getElementById(id);
const stage = byId("stage");

const project = await request("project").catch((error) => {
  byId("name").textContent = error.message;
  throw error;
});
document.title = `Annotate ${project.photos.length} photos`;

/**
 * What this page knows of a photo. States of its history are { faces, edited }; `problem` is why it
 * is not saved, with its `notice`, and the `timer` of the next try.
 */
const photos = new Map();
let current = -1;
let opening = 0;
let known = "";
let offered = Math.floor(project.edited / BATCH);
let progress = project;
let sorted = project.analysed === project.photos.length;
const unreadable = new Set();
/** Points that were marked as missing, to be brought back as they were. */
const marked = new Map();

const view = new View(stage, () => editor?.draw());
const editor = new Editor(stage, byId("magnifier"), view, project.scheme, {
  commit,
  fit: async (box, angle) => (await request(`photos/${current}/fit`, "POST", { box, angle })).points,
  changed: refreshTools,
  readout: (text) => (byId("readout").textContent = text),
  failed: (error) => notify(`The points could not be fitted: ${error.message}`, true),
});
const strip = new Strip(byId("strip"), (number) => {
  stage.focus();
  open(number);
});

// Opening photos

async function open(number) {
  if (number === undefined) return;
  if (editor.fitting) await editor.settled();
  const turnNumber = ++opening;
  editor.abandon();
  editor.setDrawing(false);
  current = number;
  strip.mark(number);
  byId("name").textContent = baseName(project.photos[number]);
  byId("name").title = project.photos[number].name;
  hint("");
  if (!photos.has(number)) {
    view.clear();
    editor.show([]);
    let details;
    try {
      details = await request(`photos/${number}`);
    } catch (error) {
      unreadable.add(number);
      if (turnNumber !== opening) return;
      hint(`${project.photos[number].name}: ${error.message}`);
      return;
    }
    remember(number, details);
    if (turnNumber !== opening) return;
  }
  const photo = photos.get(number);
  const { faces, edited } = photo.history.current;
  view.show(number, photo.width, photo.height);
  editor.selected = largest(faces);
  editor.point = -1;
  editor.show(faces);
  if (!faces.length && !edited) {
    hint("No face was found: draw a box around it, or press Enter if there is none");
    editor.setDrawing(true);
  }
  refreshSaved();
  prepare(strip.nextOpen());
}

function remember(number, details) {
  const photo = photos.get(number);
  const { width, height, revision, faces, edited } = details;
  if (photo) {
    photo.history.push({ faces, edited });
    photo.revision = revision;
  } else {
    const history = new History({ faces, edited });
    photos.set(number, { width, height, revision, history, saving: false, queued: false, problem: "" });
  }
}

/** Lets the server read a photo before it is asked for. */
function prepare(number) {
  if (number === undefined || photos.has(number)) return;
  new Image().src = `photos/${number}/view`;
}

function largest(faces) {
  const areas = faces.map(({ box }) => (box[2] - box[0]) * (box[3] - box[1]));
  return areas.indexOf(Math.max(...areas));
}

// Changes, and saving them

/** A complete change of the current photo's faces. */
function commit(faces, key = null) {
  const photo = photos.get(current);
  photo.history.push({ faces, edited: true }, key);
  hint("");
  editor.show(faces);
  save(current);
}

/** Saves a photo's latest state; while one is being saved, the next waits. */
async function save(number) {
  const photo = photos.get(number);
  if (photo.saving) {
    photo.queued = true;
    return;
  }
  photo.saving = true;
  photo.queued = false;
  refreshSaved();
  try {
    const body = { revision: photo.revision, ...photo.history.current };
    const answer = await request(`photos/${number}`, "PUT", body);
    photo.revision = answer.revision;
    strip.updateOne(number, answer.photo);
    showProgress(answer);
    succeeded(photo);
  } catch (error) {
    try {
      if (error.status !== 409) throw error;
      await adopt(number);
      succeeded(photo);
    } catch (other) {
      failed(number, other);
    }
  } finally {
    photo.saving = false;
  }
  if (photo.queued) save(number);
  refreshSaved();
}

function succeeded(photo) {
  photo.problem = "";
  photo.notice?.remove();
}

/** Says that a photo is not saved, and tries again later if that may help. */
function failed(number, error) {
  const photo = photos.get(number);
  photo.problem = error.message;
  photo.notice?.remove();
  photo.notice = notify(`Not saved: ${error.message}`, true);
  clearTimeout(photo.timer);
  if (error.status === 0 || error.status >= 409) {
    photo.timer = setTimeout(() => photo.problem && !photo.saving && save(number), RETRY);
  }
}

/** Takes over what another window has made of a photo; this window's version is one undo away. */
async function adopt(number) {
  const details = await request(`photos/${number}`);
  photos.get(number).queued = false;
  if (number === current) editor.abandon();
  remember(number, details);
  notify("This photo was changed in another window, whose version is shown now. Undo (Ctrl Z) brings yours back.", true);
  if (number === current) showState();
}

function showState() {
  editor.show(photos.get(current).history.current.faces);
}

function unsaved() {
  return [...photos.values()].some((photo) => photo.saving || photo.queued || photo.problem);
}

function refreshSaved() {
  const line = byId("saved");
  const problem = [...photos.values()].find((photo) => photo.problem)?.problem;
  line.classList.toggle("bad", Boolean(problem));
  line.textContent = problem ? `NOT SAVED: ${problem}` : unsaved() ? "saving" : progress.edited ? `saved in ${progress.path}` : "";
}

addEventListener("beforeunload", (event) => {
  if (unsaved()) event.preventDefault();
});

// Progress

function showProgress(state) {
  progress = state;
  const total = project.photos.length;
  const looking = state.analysed < total ? `; looking at the photos: ${state.analysed}` : "";
  byId("progress").textContent = `${state.edited} of ${total} corrected${looking}`;
  byId("command").textContent = state.command ?? "";
  byId("training").hidden = !state.command;
  const batches = Math.floor(state.edited / BATCH);
  if (batches > offered) {
    offered = batches;
    const training = button("Train on them ...", () => actions.make());
    notify(`${state.edited} photos are corrected: enough for a network that is better at photos like these.`, false, training);
  }
  refreshSaved();
}

async function poll() {
  try {
    const state = await request(`status/${page}?known=${known}`);
    if (state.photos) {
      strip.update(state.photos);
      for (const [number, photo] of photos) await follow(number, photo, state.photos[number]);
    }
    known = state.known;
    if (state.analysed === project.photos.length && !sorted) strip.sort();
    sorted = state.analysed === project.photos.length;
    showProgress(state);
    byId("notices").querySelector(".ended")?.remove();
  } catch (error) {
    if (error.status === 0 && !byId("notices").querySelector(".ended")) {
      notify(error.message, true).classList.add("ended");
    }
  }
  setTimeout(poll, POLL);
}

/** Shows what another window has made of a photo that this one has not changed since. */
async function follow(number, photo, summary) {
  const idle = () => !photo.saving && !photo.problem && !(number === current && editor.busy);
  if (!idle() || summary.revision <= photo.revision) return;
  const details = await request(`photos/${number}`);
  if (details.revision <= photo.revision || !idle()) return;
  remember(number, details);
  if (number === current) showState();
}

// Tools

const buttons = new Map();
for (const action of ACTIONS.filter((one) => one.button)) {
  const made = button(action.button, () => run(action));
  const sign = document.createElement("kbd");
  sign.textContent = keyName(action, action.keys[0]);
  made.append(sign);
  made.dataset.action = action.name;
  if (action.name === "accept") made.classList.add("primary");
  buttons.set(action.name, made);
  byId("actions").append(made);
}
listKeys(byId("keys"));

function button(text, pressed) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.addEventListener("click", (event) => {
    if (event.detail && !made.closest("dialog")) stage.focus(); // so that keys go on, after a pointer's click
    pressed();
  });
  return made;
}

function refreshTools() {
  const photo = photos.get(current);
  const face = editor?.face;
  const faces = editor?.faces ?? [];
  byId("faces").replaceChildren(
    ...faces.map((_, number) => {
      const chip = button(`${number + 1}`, () => editor.select(number));
      chip.ariaLabel = `Face ${number + 1}`;
      chip.setAttribute("aria-pressed", String(number === editor.selected));
      return chip;
    }),
  );
  const needs = { turnRight: face, fit: face, copy: face, remove: face, zoomFace: face,
    occluded: face?.points[editor.point], missing: face && editor.point >= 0,
    undo: photo?.history.canUndo, redo: photo?.history.canRedo, accept: photo, draw: photo };
  for (const [name, value] of Object.entries(needs)) buttons.get(name).disabled = !value;
  buttons.get("draw").setAttribute("aria-pressed", String(Boolean(editor?.drawing)));
}

async function run(action, event) {
  if (editor.gesture && action.name !== "cancel") return; // the pointer is dragging something
  if (event?.repeat && !action.repeats) return;
  if (editor.fitting) await editor.settled();
  if (!photos.has(current) && !["next", "previous", "accept", "help", "make"].includes(action.name)) return;
  actions[action.name](event);
}

/** Steps in pixels of the photo: one of the screen, or with Shift ten. */
function step(event) {
  return (event?.shiftKey ? 10 : 1) / view.scale;
}

function changeBox(box, angle, key) {
  if (!editor.face || box[2] - box[0] < 1 || box[3] - box[1] < 1) return;
  editor.preview(box, angle);
  editor.refit(editor.selected, `${key} ${editor.selected}`);
}

function stretch(dx, dy) {
  const { box, angle } = editor.face ?? {};
  if (!box) return;
  const [w, h] = [(box[2] - box[0]) * dx, (box[3] - box[1]) * dy];
  changeBox([box[0] - w, box[1] - h, box[2] + w, box[3] + h], angle, "stretch");
}

function turnBox(degrees) {
  if (!editor.face) return;
  const angle = editor.face.angle + degrees;
  changeBox(editor.face.box, angle > 180 ? angle - 360 : angle <= -180 ? angle + 360 : angle, "turn");
}

function changeFace(face, key = null) {
  commit(editor.withFace(editor.faces, face), key);
}

function cycle(length, at, by) {
  return length ? (at + by + length) % length : -1;
}

function selectPoint(by) {
  const face = editor.face;
  if (!face) return;
  const at = editor.point < 0 && by < 0 ? 0 : editor.point;
  editor.select(editor.selected, cycle(face.points.length, at, by));
  const place = face.points[editor.point];
  if (place) view.reveal(place);
}

const actions = {
  accept() {
    const photo = photos.get(current);
    if (!photo && !unreadable.has(current)) return; // it is not shown yet
    if (photo) {
      const { faces, edited } = photo.history.current;
      if (!edited) {
        photo.history.push({ faces, edited: true });
        save(current);
      }
      strip.photos[current] = { ...strip.photos[current], edited: true };
    }
    const next = strip.nextOpen();
    if (next === undefined) notify("All photos are corrected. X makes a morph or a drawn photo of them.");
    else open(next);
  },
  next: () => open(strip.beside(1)),
  previous: () => open(strip.beside(-1)),
  draw: () => editor.setDrawing(!editor.drawing),
  add() {
    const [x, y] = view.middle;
    const [w, h] = view.size.map((n) => n / view.scale);
    const half = Math.min(w, h, view.width, view.height) / 6;
    editor.setDrawing(false);
    editor.add([x - half, y - half, x + half, y + half]);
  },
  nextFace: () => editor.select(cycle(editor.faces.length, editor.selected, 1)),
  previousFace: () => editor.select(cycle(editor.faces.length, editor.selected, -1)),
  nextPoint: () => selectPoint(1),
  previousPoint: () => selectPoint(-1),
  move(event) {
    const face = editor.face;
    if (!face) return;
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const [dx, dy] = way.map((n) => n * step(event));
    const place = face.points[editor.point];
    if (place) {
      const to = [place[0] + dx, place[1] + dy];
      changeFace(placed(face, editor.point, to), `point ${editor.selected} ${editor.point}`);
      editor.describe(editor.point);
    } else if (editor.point < 0) {
      const [left, top, right, bottom] = face.box;
      changeBox([left + dx, top + dy, right + dx, bottom + dy], face.angle, "move");
    }
  },
  wider: () => stretch(0.02, 0),
  narrower: () => stretch(-0.02, 0),
  taller: () => stretch(0, 0.02),
  shorter: () => stretch(0, -0.02),
  turnRight: () => turnBox(5),
  turnLeft: () => turnBox(-5),
  occluded() {
    const face = editor.face;
    if (!face?.points[editor.point]) return;
    const occluded = !face.occluded.includes(editor.point);
    changeFace({ ...face, occluded: including(face.occluded, editor.point, occluded) });
    editor.describe(editor.point);
  },
  async missing() {
    const [face, point] = [editor.face, editor.point];
    if (!face || point < 0) return;
    const key = `${current} ${editor.selected} ${point}`;
    const withPoint = (place, isMoved, isOccluded) => ({
      ...face,
      points: face.points.map((one, at) => (at === point ? place : one)),
      moved: including(face.moved, point, isMoved),
      occluded: including(face.occluded, point, isOccluded),
    });
    if (face.points[point]) {
      marked.set(key, [face.points[point], face.moved.includes(point), face.occluded.includes(point)]);
      changeFace(withPoint(null, false, false));
    } else if (marked.has(key)) {
      changeFace(withPoint(...marked.get(key)));
    } else {
      const found = await editor.fitted(face.box, face.angle);
      if (editor.face !== face) return;
      changeFace(withPoint(found?.[point] ?? centre(face.box), false, false));
    }
    editor.describe(point);
  },
  release() {
    const face = editor.face;
    if (!face?.moved.includes(editor.point)) return;
    editor.faces = editor.withFace(editor.faces, { ...face, moved: including(face.moved, editor.point, false) });
    editor.refit(editor.selected);
  },
  fit: () => editor.face && editor.refit(editor.selected),
  fitAll() {
    const face = editor.face;
    if (!face) return;
    editor.faces = editor.withFace(editor.faces, { ...face, moved: [] });
    editor.refit(editor.selected);
  },
  async copy() {
    const face = editor.face;
    const next = strip.beside(1);
    if (!face) return;
    if (next === undefined) {
      notify("This is the last photo.");
      return;
    }
    await open(next);
    if (current !== next || !photos.has(next)) return;
    const others = editor.faces.filter((one) => overlap(one.box, face.box) < 0.3);
    editor.setDrawing(false);
    editor.selected = others.length;
    commit([...others, face]);
  },
  remove() {
    if (!editor.face) return;
    const rest = editor.faces.filter((one) => one !== editor.face);
    for (const key of marked.keys()) if (key.startsWith(`${current} `)) marked.delete(key); // their faces' numbers change
    editor.selected = Math.min(editor.selected, rest.length - 1);
    editor.point = -1;
    commit(rest);
  },
  undo: () => restore("undo"),
  redo: () => restore("redo"),
  zoomIn: () => view.zoom(1.4, view.middle),
  zoomOut: () => view.zoom(1 / 1.4, view.middle),
  whole: () => view.fit(),
  zoomFace: () => editor.face && view.showBox(editor.face.box),
  hide: () => editor.overlay.classList.toggle("points-hidden"),
  labels() {
    editor.labels = !editor.labels;
    editor.draw();
  },
  make: showMake,
  help: () => byId("help").showModal(),
  cancel() {
    editor.abandon();
    editor.setDrawing(false);
    if (editor.face) editor.select(editor.selected);
  },
};

function restore(way) {
  const photo = photos.get(current);
  if (!(way === "undo" ? photo.history.canUndo : photo.history.canRedo)) return;
  photo.history[way]();
  showState();
  save(current);
}

addEventListener("keydown", (event) => {
  const open = document.querySelector("dialog[open]");
  const typing = event.target.closest("input, select, textarea");
  const pressing = event.target.closest("button") && ["Enter", " "].includes(event.key);
  if (open || typing || pressing) return;
  const action = actionOf(event);
  if (!action) return;
  event.preventDefault();
  run(action, event);
});

byId("order").addEventListener("change", (event) => {
  strip.byName = event.target.value === "name";
  strip.sort();
});

// Making pictures, videos and files

const PRODUCTS = { drawn: "This photo with its points", morph: "Morph of all corrected", midway: "Midway of two",
  mean: "Mean of all corrected" };
const FILES = { coco: "COCO", csv: "CSV", dlib: "dlib XML", pts: ".pts" };

for (const product of project.products) {
  const group = product in PRODUCTS ? byId("products") : byId("files");
  group.append(button(PRODUCTS[product] ?? FILES[product] ?? product, () => make(product)));
}
byId("copy-command").addEventListener("click", () => navigator.clipboard.writeText(progress.command));

function showMake() {
  const partners = [...strip.photos.entries()].filter(([number, photo]) => photo.edited && number !== current);
  byId("partner").replaceChildren(
    ...partners.map(([number, photo]) => new Option(baseName(photo), number)),
  );
  byId("partner-row").hidden = !partners.length || !project.products.includes("midway");
  byId("make").showModal();
}

async function make(product) {
  const result = byId("result");
  result.textContent = "being made ...";
  const partner = byId("partner").value;
  const wanted = { drawn: [current], midway: partner === "" ? [current] : [current, Number(partner)] }[product] ?? [];
  for (const one of makers()) one.disabled = true;
  try {
    const { name, path, notes } = await request("products", "POST", { product, photos: wanted });
    const lines = [path, ...notes].map((text) => {
      const line = document.createElement("p");
      line.className = "soft";
      line.textContent = text;
      return line;
    });
    result.replaceChildren(...shown(name), ...lines);
  } catch (error) {
    result.textContent = error.message;
  }
  for (const one of makers()) one.disabled = false;
}

function makers() {
  return [...byId("products").children, ...byId("files").children];
}

/** An element that shows a picture or video; other files are only named. */
function shown(name) {
  const address = `products/${encodeURIComponent(name)}?${Date.now()}`;
  const isVideo = name.endsWith(".mp4");
  if (!isVideo && !/\.(png|jpg)$/.test(name)) return [];
  const made = document.createElement(isVideo ? "video" : "img");
  made.src = address;
  if (isVideo) Object.assign(made, { controls: true, loop: true, autoplay: true, muted: true });
  else made.alt = name;
  return [made];
}

// Messages

function hint(text) {
  byId("hint").textContent = text;
  byId("hint").hidden = !text;
}

function notify(text, bad = false, extra = null) {
  const same = [...byId("notices").children].find((one) => one.firstChild.textContent === text);
  same?.remove();
  const note = document.createElement("div");
  note.classList.toggle("bad", bad);
  const words = document.createElement("span");
  words.textContent = text;
  note.append(words, ...(extra ? [extra] : []), button("×", () => note.remove()));
  byId("notices").append(note);
  if (!bad && !extra) setTimeout(() => note.remove(), 5000);
  return note;
}

// Beginning

announceClosing();
strip.update(project.photos);
showProgress(project);
await poll();
// A few photos are ordered at once; of many the first are shown while the others are looked at.
for (let tries = 0; tries < 4 && progress.analysed < project.photos.length; tries += 1) {
  await new Promise((resolve) => setTimeout(resolve, 400));
  const state = await request(`status/${page}?known=`);
  strip.update(state.photos);
  showProgress(state);
}
strip.sort();
open(strip.nextOpen() ?? strip.order[0]);
stage.focus();
