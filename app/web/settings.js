// How maps are shown: one choice for all viewers of a page.

/** @typedef {{colours: string, opacity: number, shared: boolean, cut: boolean, clear: boolean, squares: boolean}} Settings */

/** @type {Settings} */
export const settings = {colours: 'viridis', opacity: 0.75, shared: false, cut: true, clear: true, squares: false};

/** @type {Set<() => void>} */
const followers = new Set();

/** Calls a function after every change. @param {() => void} follower */
export function followSettings(follower) {
  followers.add(follower);
}

/** @param {Partial<Settings>} change */
export function changeSettings(change) {
  Object.assign(settings, change);
  for (const follower of followers) follower();
}
