// The keys of the annotation page. Each action has a name, by which `annotate.js` runs it.

/**
 * Actions in the order of the list: keys as KeyboardEvent.key, what they do, a button's text, and
 * whether the action `repeats` while its key is held down.
 */
export const ACTIONS = [
  { name: "accept", keys: ["Enter"], text: "this photo is correct; go to the next", button: "Correct, next" },
  { name: "next", keys: ["n", "PageDown"], text: "next photo", repeats: true },
  { name: "previous", keys: ["p", "PageUp"], text: "previous photo", repeats: true },
  { name: "draw", keys: ["b"], text: "draw a box with the pointer", button: "Draw a box" },
  { name: "add", keys: ["a"], text: "add a box in the middle of the view" },
  { name: "nextFace", keys: ["]"], text: "next face" },
  { name: "previousFace", keys: ["["], text: "previous face" },
  { name: "nextPoint", keys: ["."], text: "next point", repeats: true },
  { name: "previousPoint", keys: [","], text: "previous point", repeats: true },
  { name: "move", keys: ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"],
    text: "move the point, or without one the box; with Shift ten times as far", repeats: true },
  { name: "wider", keys: ["w"], text: "make the box wider", repeats: true },
  { name: "narrower", keys: ["s"], text: "make the box narrower", repeats: true },
  { name: "taller", keys: ["t"], text: "make the box taller", repeats: true },
  { name: "shorter", keys: ["g"], text: "make the box shorter", repeats: true },
  { name: "turnRight", keys: ["r"], text: "turn the box clockwise", button: "Turn", repeats: true },
  { name: "turnLeft", keys: ["e"], text: "turn the box counterclockwise", repeats: true },
  { name: "occluded", keys: ["o"], text: "the point is occluded, or not", button: "Occluded" },
  { name: "missing", keys: ["m"], text: "the point is missing, or not", button: "Missing" },
  { name: "release", keys: ["u"], text: "let the network place the point again" },
  { name: "fit", keys: ["f"], text: "fit the points again, but for those placed by hand", button: "Fit again" },
  { name: "fitAll", keys: ["F"], text: "fit all points again" },
  { name: "copy", keys: ["c"], text: "copy the face to the next photo", button: "Copy to next" },
  { name: "remove", keys: ["Delete", "Backspace"], text: "delete the face", button: "Delete face" },
  { name: "undo", keys: ["z"], control: true, text: "undo", button: "Undo", repeats: true },
  { name: "redo", keys: ["y", "Z"], control: true, text: "redo", button: "Redo", repeats: true },
  { name: "zoomIn", keys: ["+", "="], text: "zoom in", repeats: true },
  { name: "zoomOut", keys: ["-"], text: "zoom out", repeats: true },
  { name: "whole", keys: ["0"], text: "show the whole photo", button: "Whole photo" },
  { name: "zoomFace", keys: ["1"], text: "show the face", button: "Show face" },
  { name: "hide", keys: ["h"], text: "hide the points, or show them" },
  { name: "labels", keys: ["l"], text: "show the names of the points, or not" },
  { name: "make", keys: ["x"], text: "make a morph, drawn photo, or annotations; train", button: "Make ..." },
  { name: "help", keys: ["?"], text: "list the keys", button: "Keys" },
  { name: "cancel", keys: ["Escape"], text: "cancel drawing; no point selected" },
];

const SIGNS = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Delete: "Del",
  Escape: "Esc", PageDown: "PgDn", PageUp: "PgUp" };

/** How a key of an action is written. */
export function keyName(action, key) {
  const name = SIGNS[key] ?? key;
  if (action.control) return key === "Z" ? "Ctrl Shift Z" : `Ctrl ${name.toUpperCase()}`;
  return /^[A-Z]$/.test(key) ? `Shift ${key}` : name.length === 1 ? name.toUpperCase() : name;
}

/** The action of a pressed key, if there is one. */
export function actionOf(event) {
  const typed = event.altKey && "[]".includes(event.key); // some keyboards have them only with Alt
  if (event.altKey && !typed) return undefined;
  const control = (event.ctrlKey || event.metaKey) && !typed;
  // Whether a letter is a capital one depends on Caps Lock, and on macOS not on Shift beside Cmd.
  const letter = /^[a-z]$/i.test(event.key);
  const key = !letter ? event.key : event.shiftKey ? event.key.toUpperCase() : event.key.toLowerCase();
  return ACTIONS.find((action) => {
    if (Boolean(action.control) !== control) return false;
    return action.keys.includes(key);
  });
}

/** Fills the list of keys. */
export function listKeys(list) {
  for (const action of ACTIONS) {
    const names = document.createElement("dt");
    for (const key of action.keys) {
      const sign = document.createElement("kbd");
      sign.textContent = keyName(action, key);
      names.append(sign, " ");
    }
    const text = document.createElement("dd");
    text.textContent = action.text;
    const row = document.createElement("div");
    row.append(names, text);
    list.append(row);
  }
}
