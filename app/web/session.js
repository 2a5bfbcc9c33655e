// What a session keeps over a refresh and over a restart of the server: what stands in the boxes, and the drawings
// of before as small pictures. It stays in this tab.

/** @import {Drawing, Kept} from './types.js' */

const KEY = 'mirrorgan';
export const MOST = 24; // drawings that a session remembers

/** @typedef {{caption: string, seed: string, search: string, kept: Kept[]}} Session */

/** @param {unknown} one @returns {one is Kept} */
const isKept = (one) => typeof one === 'object' && one !== null
  && ['caption', 'model', 'checkpoint', 'image'].every((name) => typeof (/** @type {any} */ (one)[name]) === 'string')
  && Number.isInteger(/** @type {any} */ (one).seed) && /** @type {any} */ (one).image.startsWith('data:image/');

/** What was written before; what somebody else wrote there, or what is broken, counts as nothing.
 * @param {string | null} text @returns {Session} */
export function parse(text) {
  let found = null;
  try {
    found = JSON.parse(text ?? 'null');
  } catch {
    // as if there were nothing
  }
  /** @param {unknown} value */
  const string = (value) => (typeof value === 'string' ? value : '');
  return {caption: string(found?.caption), seed: string(found?.seed), search: string(found?.search),
    kept: (Array.isArray(found?.kept) ? found.kept : []).filter(isKept).slice(0, MOST)};
}

export function read() {
  try {
    return parse(sessionStorage.getItem(KEY));
  } catch {
    return parse(null); // storage is switched off
  }
}

/** @param {Partial<Session>} change */
export function write(change) {
  const session = {...read(), ...change};
  try {
    sessionStorage.setItem(KEY, JSON.stringify(session));
  } catch {
    try {
      sessionStorage.setItem(KEY, JSON.stringify({...session, kept: session.kept.slice(0, 4)})); // there is no room for all
    } catch {
      // nothing is kept
    }
  }
}

/** A drawing as a session keeps it. @param {Drawing} drawing @returns {Kept} */
export const keptOf = ({caption, seed, model, checkpoint, stages}) => ({caption, seed, model, checkpoint, image: stages.at(-1)?.image ?? ''});
