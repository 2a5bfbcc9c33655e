// From a value to a colour, and what a colour is over a picture.

import {bytes} from './numbers.js';
import {TABLES} from './tables.js';

/** @import {Colour, TargetKind} from './types.js' */
/** @import {Settings} from './settings.js' */

/** @type {Map<string, Uint8Array>} */
const tables = new Map(Object.entries(TABLES).map(([name, table]) => [name, bytes(table)]));

export const colourNames = Object.keys(TABLES);

/** Brightness that is left of a picture under the spotlight. */
export const DIM = 0.45;

/** Bands of the sentence's map, so that its form differs from a word's. */
export const BANDS = 6;

/** Steps of the colours of a kind of map; 0 is without steps. @param {TargetKind} kind */
export const stepsOf = (kind) => (kind === 'sentence' ? BANDS : 0);

/** How opaque a colour is, in [0, 1]: what is low stays clear, so that the picture is seen where a word did not go.
 * @param {number} share of the way from low to high, in [0, 1] @param {boolean} clear false: nothing stays clear */
export const cover = (share, clear) => (clear ? 1 - (1 - share) ** 2 : 1);

/** The colours that are drawn, from low to high, for the map and its bar alike.
 * @param {Pick<Settings, 'colours' | 'opacity' | 'clear'>} settings @param {number} [steps] so many flat bands; 0: none
 * @returns {Uint8ClampedArray} 256 x red, green, blue and opacity */
export function palette({colours, opacity, clear}, steps = 0) {
  const table = tables.get(colours) ?? /** @type {Uint8Array} */ (tables.get(colourNames[0]));
  const drawn = new Uint8ClampedArray(4 * 256);
  for (let at = 0; at < 256; at++) {
    const share = steps ? Math.min(steps - 1, Math.floor((steps * at) / 255)) / (steps - 1) : at / 255;
    const from = 3 * Math.round(255 * share);
    drawn.set([table[from], table[from + 1], table[from + 2], 255 * opacity * cover(share, clear)], 4 * at);
  }
  return drawn;
}

/** A colour of a palette over what is under it. @param {Colour} ground @param {Uint8ClampedArray} colours @param {number} at
 * @returns {Colour} */
export function over(ground, colours, at) {
  const opacity = colours[4 * at + 3] / 255;
  return /** @type {Colour} */ (ground.map((part, channel) => Math.round(part * (1 - opacity) + colours[4 * at + channel] * opacity)));
}

/** The same lightness without colour, as CSS's grayscale(1) and brightness() have it. @param {Colour} colour
 * @param {number} brightness @returns {Colour} */
export function dimmed([red, green, blue], brightness) {
  const grey = Math.round(brightness * (0.2126 * red + 0.7152 * green + 0.0722 * blue));
  return [grey, grey, grey];
}
