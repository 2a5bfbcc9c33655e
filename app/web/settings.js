// How maps are shown: one choice for all viewers of a page.

/**
 * @typedef {object} Settings
 * @property {'spotlight' | 'heat'} mode spotlight: the picture is grey and dark, and only the map has colour
 * @property {string} colours
 * @property {number} opacity in [0, 1]
 * @property {boolean} shared all words of a stage have one scale
 * @property {boolean} cut the highest values share the last colour
 * @property {boolean} clear low values let the picture through
 * @property {boolean} squares places are not made smooth
 */

/** @type {Settings} */
export const settings = {mode: 'spotlight', colours: 'inferno', opacity: 0.85, shared: false, cut: true, clear: true, squares: false};

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
