// The camera page: each frame goes to the server, and is shown with the points that come back.

import { announceClosing, page, request } from "./api.js";

const SIZE = { width: { ideal: 640 }, height: { ideal: 480 } };
const QUALITY = 0.85; // of the JPEG that is sent
const PREDICTION = "rgb(235, 50, 50)";
const BOX = "rgb(255, 200, 40)";

const byId = (id) => document.getElementById(id);
const video = byId("video");
const picture = byId("picture");
const canvas = picture.getContext("2d");

let scheme;
let boxes = false;
let times = [];

const PROBLEMS = {
  NotFoundError: "There is no camera on this machine.",
  NotAllowedError: "The browser did not allow this page to use the camera: allow it, and load the page again.",
  NotReadableError: "The camera is in use by another program: close that, and load the page again.",
};

async function begin() {
  announceClosing();
  setInterval(() => request(`status/${page}`).catch(() => {}), 5000);
  try {
    scheme = await request("scheme");
    if (!navigator.mediaDevices) throw new DOMException("", "NotFoundError");
    const stream = await navigator.mediaDevices.getUserMedia({ video: SIZE });
    stream.getVideoTracks()[0].addEventListener("ended", () => say("The camera was switched off."));
    video.srcObject = stream;
    await video.play();
  } catch (error) {
    say(PROBLEMS[error.name] ?? error.message);
    return;
  }
  picture.width = video.videoWidth;
  picture.height = video.videoHeight;
  picture.classList.add("mirrored");
  picture.hidden = false;
  byId("message").hidden = true;
  byId("still").disabled = false;
  run();
}

function say(text) {
  byId("message").textContent = text;
  byId("message").hidden = false;
}

/** The camera's next frame as a bitmap and as a JPEG. */
async function grab() {
  if (video.requestVideoFrameCallback) await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
  const bitmap = await createImageBitmap(video);
  const copy = new OffscreenCanvas(bitmap.width, bitmap.height);
  copy.getContext("2d").drawImage(bitmap, 0, 0);
  const jpeg = await copy.convertToBlob({ type: "image/jpeg", quality: QUALITY });
  return { bitmap, jpeg, seconds: performance.now() / 1000 };
}

async function run() {
  let next = grab();
  for (;;) {
    const frame = await next;
    const answer = request(`frames/${page}?seconds=${frame.seconds}`, "POST", frame.jpeg);
    next = grab(); // while the server looks at this one
    try {
      show(frame.bitmap, await answer);
      byId("message").hidden = true;
    } catch (error) {
      say(error.message);
      byId("rate").textContent = "";
      if (error.status === 0) return;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    frame.bitmap.close();
  }
}

function show(bitmap, faces) {
  if (picture.width !== bitmap.width || picture.height !== bitmap.height) {
    Object.assign(picture, { width: bitmap.width, height: bitmap.height }); // the device was turned
  }
  canvas.drawImage(bitmap, 0, 0);
  for (const face of faces) draw(face);
  const now = performance.now();
  times = [...times.filter((time) => now - time < 1000), now];
  const count = faces.length === 1 ? "1 face" : `${faces.length} faces`;
  byId("rate").textContent = `${times.length} frames/s, ${count}, ${bitmap.width}x${bitmap.height}`;
}

function draw({ box, points }) {
  canvas.save();
  canvas.translate(0.5, 0.5); // the centre of the first pixel is (0, 0)
  canvas.strokeStyle = canvas.fillStyle = PREDICTION;
  canvas.lineWidth = 1;
  canvas.globalAlpha = 0.75;
  for (const chain of scheme.skeleton) {
    canvas.beginPath();
    for (const at of chain) canvas.lineTo(...points[at]);
    canvas.stroke();
  }
  canvas.globalAlpha = 1;
  const radius = Math.max(1.4, (box[2] - box[0]) / 110);
  for (const [x, y] of points) {
    canvas.beginPath();
    canvas.arc(x, y, radius, 0, 7);
    canvas.fill();
  }
  if (boxes) {
    canvas.strokeStyle = BOX;
    canvas.lineWidth = 2;
    canvas.strokeRect(box[0], box[1], box[2] - box[0], box[3] - box[1]);
  }
  canvas.restore();
}

async function saveStill() {
  if (byId("still").disabled) return;
  byId("still").disabled = true;
  try {
    const { jpeg, bitmap } = await grab();
    bitmap.close();
    byId("saved").textContent = `saved ${(await request("stills", "POST", jpeg)).path}`;
  } catch (error) {
    byId("saved").textContent = `not saved: ${error.message}`;
  }
  byId("still").disabled = false;
}

function press(button, change) {
  const pressed = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(pressed));
  change(pressed);
}

const TOOLS = {
  s: saveStill,
  m: () => press(byId("mirror"), (on) => picture.classList.toggle("mirrored", on)),
  b: () => press(byId("boxes"), (on) => (boxes = on)),
};
for (const [key, id] of [["s", "still"], ["m", "mirror"], ["b", "boxes"]]) byId(id).addEventListener("click", TOOLS[key]);
addEventListener("keydown", (event) => {
  if (!event.ctrlKey && !event.metaKey && !event.altKey) TOOLS[event.key.toLowerCase()]?.();
});

begin();
