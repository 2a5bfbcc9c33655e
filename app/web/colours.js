// From a value to a colour.

import {bytes} from './numbers.js';
import {TABLES} from './tables.js';

/** @type {Map<string, Uint8Array>} */
const tables = new Map(Object.entries(TABLES).map(([name, table]) => [name, bytes(table)]));

export const colourNames = Object.keys(TABLES);

/** 256 x 3 bytes from low to high. @param {string} name */
export const tableOf = (name) => tables.get(name) ?? /** @type {Uint8Array} */ (tables.get(colourNames[0]));

/** How opaque a colour is, 0 to 255: what is low stays clear, so that the picture is seen where a word did not go.
 * @param {number} share of the way from low to high, in [0, 1]
 * @param {boolean} clear false: nothing stays clear
 */
export const cover = (share, clear) => (clear ? 20 + 235 * Math.sqrt(share) : 255);
