// Which drawing the viewer showed last, for parts of the page that follow it.

/** @import {Drawing} from './types.js' */

/** @type {Drawing | null} */
let last = null;
/** @type {Set<(drawing: Drawing) => void>} */
const followers = new Set();

/** Calls a function with the last drawing, and with every one that comes. @param {(drawing: Drawing) => void} follower */
export function followShown(follower) {
  followers.add(follower);
  if (last) follower(last);
}

/** @param {Drawing} drawing */
export function announceShown(drawing) {
  last = drawing;
  for (const follower of followers) follower(drawing);
}
