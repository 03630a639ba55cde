// Boxes that may be turned about their centre. A box is [left, top, right, bottom] in pixels of the
// photo, as it is before it is turned by `angle` degrees, clockwise.

export const centre = ([left, top, right, bottom]) => [(left + right) / 2, (top + bottom) / 2];

/** A point turned about another one. */
export function turn([x, y], [cx, cy], degrees) {
  const radians = (degrees * Math.PI) / 180;
  const [cos, sin] = [Math.cos(radians), Math.sin(radians)];
  return [cx + cos * (x - cx) - sin * (y - cy), cy + sin * (x - cx) + cos * (y - cy)];
}

/** Where the handles of a box are, by their direction: [-1, -1] is the left top corner. */
export function handles(box, angle) {
  const [cx, cy] = centre(box);
  const [w, h] = [(box[2] - box[0]) / 2, (box[3] - box[1]) / 2];
  const found = [];
  for (const dx of [-1, 0, 1]) {
    for (const dy of [-1, 0, 1]) {
      if (dx || dy) found.push({ direction: [dx, dy], at: turn([cx + dx * w, cy + dy * h], [cx, cy], angle) });
    }
  }
  return found;
}

/** The corners of a box, in drawing order. */
export function corners(box, angle) {
  const [left, top, right, bottom] = box;
  const all = [[left, top], [right, top], [right, bottom], [left, bottom]];
  return all.map((corner) => turn(corner, centre(box), angle));
}

/** A box whose handle in a direction was dragged to a point; the opposite side stays. */
export function resize(box, angle, [dx, dy], to) {
  const middle = centre(box);
  const [x, y] = turn(to, middle, -angle);
  let [left, top, right, bottom] = box;
  if (dx < 0) left = x;
  if (dx > 0) right = x;
  if (dy < 0) top = y;
  if (dy > 0) bottom = y;
  [left, right] = [Math.min(left, right), Math.max(left, right)];
  [top, bottom] = [Math.min(top, bottom), Math.max(top, bottom)];
  const [w, h] = [(right - left) / 2, (bottom - top) / 2];
  const [cx, cy] = turn([left + w, top + h], middle, angle);
  return [cx - w, cy - h, cx + w, cy + h];
}

/** A box moved by (dx, dy). */
export const moved = ([left, top, right, bottom], dx, dy) => [left + dx, top + dy, right + dx, bottom + dy];

/** Whether a point is in a box. */
export function contains(box, angle, point) {
  const [x, y] = turn(point, centre(box), -angle);
  return box[0] <= x && x <= box[2] && box[1] <= y && y <= box[3];
}

/** Distance of a point from a box's outline. */
export function distanceToOutline(box, angle, point) {
  const [x, y] = turn(point, centre(box), -angle);
  const [dx, dy] = [Math.max(box[0] - x, x - box[2]), Math.max(box[1] - y, y - box[3])];
  return dx > 0 || dy > 0 ? Math.hypot(Math.max(dx, 0), Math.max(dy, 0)) : Math.min(-dx, -dy);
}

/** Where a point goes when the box that it is in becomes another one. */
export function carried(point, box, angle, newBox, newAngle) {
  const [x, y] = turn(point, centre(box), -angle);
  const u = (x - box[0]) / (box[2] - box[0]);
  const v = (y - box[1]) / (box[3] - box[1]);
  const at = [newBox[0] + u * (newBox[2] - newBox[0]), newBox[1] + v * (newBox[3] - newBox[1])];
  return turn(at, centre(newBox), newAngle);
}

/** Area that two boxes share, as a part of what they cover together. */
export function overlap(a, b) {
  const w = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const h = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  const shared = Math.max(w, 0) * Math.max(h, 0);
  const area = ([left, top, right, bottom]) => (right - left) * (bottom - top);
  return shared / (area(a) + area(b) - shared || 1);
}
