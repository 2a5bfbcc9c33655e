// Maps and pictures on canvases.

import {DIM, dimmed, over, palette, stepsOf} from './colours.js';
import {contextOf, make} from './dom.js';
import {contour, endsOf, sample} from './maps.js';

/** @import {Colour, Found, TargetKind, Territories} from './types.js' */
/** @import {Settings} from './settings.js' */

/** Pixels a side below which a picture is shown as squares: enlarged smoothly it is only a blur. */
const SQUARE = 64;
const RING = 0.028; // radius of the ring around the highest value, in widths of the picture

/** @param {HTMLImageElement} image @param {Settings} settings */
const isSmooth = (image, settings) => !settings.squares && image.naturalWidth >= SQUARE;

/** How many times finer a map of so many places a side is drawn: an odd number, so that the middle of every place is a
 * point, and its value is drawn. @param {number} width @param {number} most points a side */
export const finer = (width, most) => Math.max(1, 2 * Math.floor((Math.floor(most / width) + 1) / 2) - 1);

/** One map as a canvas of colours. Values are made smooth first and coloured then, so that no colour appears that the
 * colour bar does not have. A map that is the same everywhere gets the lowest colour.
 * @param {Found} found @param {Settings} settings @param {number} most points a side
 */
function coloured({map, index, kind}, settings, most) {
  const times = settings.squares ? 1 : finer(map.width, most);
  const canvas = make('canvas', {width: times * map.width, height: times * map.height});
  const context = contextOf(canvas);
  const pixels = context.createImageData(canvas.width, canvas.height), words = new Uint32Array(pixels.data.buffer);
  const colours = new Uint32Array(palette(settings, stepsOf(kind)).buffer);
  const {low, high} = endsOf(map, index, settings), scale = high > low ? 255 / (high - low) : 0;
  const values = sample(map, index, canvas.width, canvas.height);
  for (let at = 0; at < values.length; at++) words[at] = colours[Math.min(255, Math.max(0, Math.round((values[at] - low) * scale)))];
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

/** Takes the colour from what is there, and some of its light. @param {HTMLCanvasElement} canvas @param {number} brightness */
export function paintGrey(canvas, brightness) {
  const context = contextOf(canvas);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height), {data} = pixels;
  for (let at = 0; at < data.length; at += 4) data.set(dimmed([data[at], data[at + 1], data[at + 2]], brightness), at);
  context.putImageData(pixels, 0, 0);
}

/** Mean colour of a picture. @param {HTMLImageElement} image @returns {Colour} */
export function meanOf(image) {
  const canvas = make('canvas', {width: 16, height: 16});
  const context = contextOf(canvas);
  context.drawImage(image, 0, 0, 16, 16);
  const {data} = context.getImageData(0, 0, 16, 16);
  /** @param {number} channel */
  const mean = (channel) => data.reduce((sum, value, at) => (at % 4 === channel ? sum + value : sum), 0) / 256;
  return [mean(0), mean(1), mean(2)];
}

/** A map over what is there: a word's with one line at the middle of its scale and a ring at its highest value, the
 * sentence's in flat bands. @param {HTMLCanvasElement} canvas @param {Found} found @param {Settings} settings
 * @param {{most: number, marks: boolean}} how points a side; whether there is room for line and ring */
export function paintMap(canvas, found, settings, {most, marks}) {
  const context = contextOf(canvas);
  lay(context, coloured(found, settings, most), 1, !settings.squares);
  const {map, index, kind} = found;
  const {low, high} = endsOf(map, index, settings);
  if (!marks || kind === 'sentence' || kind === 'mask' || !(high > low)) return;
  const side = canvas.width;
  context.beginPath();
  const lines = contour(map, index, (low + high) / 2);
  for (let at = 0; at < lines.length; at += 4) {
    context.moveTo(lines[at] * side, lines[at + 1] * side);
    context.lineTo(lines[at + 2] * side, lines[at + 3] * side);
  }
  stroke(context, side / 340);
  const column = map.summit[index] % map.width, row = Math.floor(map.summit[index] / map.width);
  context.beginPath();
  context.arc(((column + 0.5) / map.width) * side, ((row + 0.5) / map.height) * side, RING * side, 0, 2 * Math.PI);
  stroke(context, side / 220);
}

/** A white line that is seen on any ground. @param {CanvasRenderingContext2D} context @param {number} width */
function stroke(context, width) {
  context.lineCap = 'round';
  context.strokeStyle = 'rgb(0 0 0 / 0.7)';
  context.lineWidth = 2.2 * width;
  context.stroke();
  context.strokeStyle = '#fff';
  context.lineWidth = width;
  context.stroke();
}

/** Territories in flat colours, those of function words faint; all but one are pale if one is pointed at.
 * @param {HTMLCanvasElement} canvas @param {Territories} territories @param {{hue: Colour, faint: boolean}[]} looks by word
 * @param {number | null} only @param {boolean} smooth */
export function paintTerritories(canvas, {width, height, winners}, looks, only, smooth) {
  const small = make('canvas', {width, height});
  const context = contextOf(small);
  const pixels = context.createImageData(width, height);
  winners.forEach((winner, at) => {
    const {hue, faint} = looks[winner];
    const others = [(at + 1) % width ? winners[at + 1] : winner, at + width < winners.length ? winners[at + width] : winner];
    const border = others.some((other) => other !== winner && (only === null ? !faint || !looks[other].faint : other === only || winner === only));
    const opacity = only === null ? (faint ? 70 : 205) : winner === only ? 205 : 30;
    pixels.data.set(border ? [255, 255, 255, 150] : [...hue, opacity], 4 * at);
  });
  context.putImageData(pixels, 0, 0);
  lay(contextOf(canvas), small, 1, smooth);
}

/** Names on a picture that is kept. @param {HTMLCanvasElement} canvas @param {{x: number, y: number, text: string}[]} labels
 * @param {number} size of the letters in pixels */
export function paintNames(canvas, labels, size) {
  const context = contextOf(canvas), side = canvas.width;
  context.font = `600 ${size}px system-ui, sans-serif`;
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  for (const {x, y, text} of labels) {
    const wide = context.measureText(text).width + size, high = 1.5 * size;
    context.fillStyle = 'rgb(255 255 255 / 0.92)';
    context.beginPath();
    context.roundRect(x * side - wide / 2, y * side - high / 2, wide, high, high / 2);
    context.fill();
    context.fillStyle = '#1c1917';
    context.fillText(text, x * side, y * side);
  }
}

/** @param {HTMLCanvasElement} canvas */
export const wipe = (canvas) => contextOf(canvas).clearRect(0, 0, canvas.width, canvas.height);

/** All colours from low to high, as they are on the picture: over its mean, which the spotlight has made grey and dark.
 * @param {TargetKind} kind @param {Settings} settings @param {Colour} mean of the picture */
export function colourBar(kind, settings, mean) {
  const bar = make('canvas', {width: 256, height: 1, role: 'img', 'aria-label': `Colours from low to high, ${settings.colours}`});
  const context = contextOf(bar), pixels = context.createImageData(256, 1);
  const colours = palette(settings, stepsOf(kind)), ground = settings.mode === 'spotlight' ? dimmed(mean, DIM) : mean;
  for (let at = 0; at < 256; at++) pixels.data.set([...over(ground, colours, at), 255], 4 * at);
  context.putImageData(pixels, 0, 0);
  return bar;
}
