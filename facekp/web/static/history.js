// Undo and redo of states that are never modified.

export class History {
  constructor(state) {
    this.states = [state];
    this.at = 0;
    this.merging = null;
  }

  get current() {
    return this.states[this.at];
  }

  get canUndo() {
    return this.at > 0;
  }

  get canRedo() {
    return this.at < this.states.length - 1;
  }

  /** Adds a state. One with the same `key` as the last, soon after it, takes its place. */
  push(state, key = null) {
    const now = performance.now();
    const merges = key !== null && this.merging?.key === key && now - this.merging.time < 800;
    if (!merges) this.at += 1;
    this.states.length = this.at;
    this.states.push(state);
    this.merging = key === null ? null : { key, time: now };
  }

  undo() {
    if (this.canUndo) this.at -= 1;
    this.merging = null;
    return this.current;
  }

  redo() {
    if (this.canRedo) this.at += 1;
    this.merging = null;
    return this.current;
  }
}
