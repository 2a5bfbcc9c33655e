// Maps and pictures on canvases.

import {cover, tableOf} from './colours.js';
import {contextOf, make} from './dom.js';
import {endsOf, sample} from './maps.js';
import {clamp} from './numbers.js';

/** @import {Ends, Found} from './types.js' */
/** @import {Settings} from './settings.js' */

/** Pixels a side below which a picture is shown as squares: enlarged smoothly it is only a blur. */
const SQUARE = 64;

/** @param {HTMLImageElement} image @param {Settings} settings */
const isSmooth = (image, settings) => !settings.squares && image.naturalWidth >= SQUARE;

/** One map as a canvas of colours. Values are made smooth first and coloured then, so that no colour appears that the
 * colour bar does not have. A map that is the same everywhere gets the lowest colour.
 * @param {Found} found @param {Ends} ends @param {Settings} settings @param {number} side
 */
function coloured({map, index}, {low, high}, settings, side) {
  const columns = settings.squares ? map.width : side, rows = settings.squares ? map.height : side;
  const canvas = make('canvas', {width: columns, height: rows});
  const context = contextOf(canvas);
  const pixels = context.createImageData(columns, rows);
  const table = tableOf(settings.colours), flat = !(high > low);
  sample(map, index, columns, rows).forEach((value, at) => {
    const share = flat ? 0 : clamp((value - low) / (high - low), 0, 1);
    const colour = 3 * Math.round(255 * share);
    pixels.data[4 * at] = table[colour];
    pixels.data[4 * at + 1] = table[colour + 1];
    pixels.data[4 * at + 2] = table[colour + 2];
    pixels.data[4 * at + 3] = flat ? 255 : cover(share, settings.clear);
  });
  context.putImageData(pixels, 0, 0);
  return canvas;
}

/** @param {CanvasRenderingContext2D} context @param {CanvasImageSource} source @param {number} alpha @param {boolean} smooth */
function lay(context, source, alpha, smooth) {
  context.globalAlpha = alpha;
  context.imageSmoothingEnabled = smooth;
  context.imageSmoothingQuality = 'high';
  context.drawImage(source, 0, 0, context.canvas.width, context.canvas.height);
  context.globalAlpha = 1;
}

/** A picture, as it is between two stages. @param {HTMLCanvasElement} canvas @param {HTMLImageElement[]} images
 * @param {number} blend place between the first (0) and the last @param {Settings} settings */
export function paintPicture(canvas, images, blend, settings) {
  const context = contextOf(canvas);
  const low = Math.floor(blend), high = Math.min(low + 1, images.length - 1);
  context.clearRect(0, 0, canvas.width, canvas.height);
  lay(context, images[low], 1, isSmooth(images[low], settings));
  if (blend > low) lay(context, images[high], blend - low, isSmooth(images[high], settings));
}

/** A map over what is there. @param {HTMLCanvasElement} canvas @param {Found} found @param {Settings} settings
 * @param {number} side places at which it is made smooth */
export function paintMap(canvas, found, settings, side) {
  lay(contextOf(canvas), coloured(found, endsOf(found.map, found.index, settings), settings, side), settings.opacity, !settings.squares);
}

/** @param {HTMLCanvasElement} canvas */
export const wipe = (canvas) => contextOf(canvas).clearRect(0, 0, canvas.width, canvas.height);

/** All colours from low to high. @param {Settings} settings */
export function colourBar(settings) {
  const bar = make('canvas', {width: 256, height: 1, role: 'img', 'aria-label': `Colours from low to high, ${settings.colours}`});
  const context = contextOf(bar), pixels = context.createImageData(256, 1), table = tableOf(settings.colours);
  for (let at = 0; at < 256; at++) {
    pixels.data.set([table[3 * at], table[3 * at + 1], table[3 * at + 2], cover(at / 255, settings.clear)], 4 * at);
  }
  context.putImageData(pixels, 0, 0);
  return bar;
}
