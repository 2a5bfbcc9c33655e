// A drawing as a card to share: 1200 x 630 pixels, as previews of links are.

import {contextOf, make} from './dom.js';

const WIDTH = 1200, HEIGHT = 630, LEFT = 670, ROOM = WIDTH - LEFT - 40;
const SANS = '"IBM Plex Sans", system-ui, sans-serif', SERIF = 'Georgia, "Iowan Old Style", "Noto Serif", serif';

/** Words in lines of at most so many units; a word that is longer is cut between letters.
 * @param {string} text @param {(text: string) => number} measure @param {number} width @param {number} most lines */
export function linesOf(text, measure, width, most) {
  const lines = [''];
  for (const word of text.split(/\s+/).filter(Boolean)) {
    let rest = word;
    const longer = `${lines[lines.length - 1]} ${rest}`.trim();
    if (measure(longer) <= width) {
      lines[lines.length - 1] = longer;
      continue;
    }
    if (lines[lines.length - 1]) lines.push('');
    while (measure(rest) > width) {
      let count = rest.length - 1;
      while (count > 1 && measure(rest.slice(0, count)) > width) count -= 1;
      lines[lines.length - 1] = rest.slice(0, count);
      lines.push('');
      rest = rest.slice(count);
    }
    lines[lines.length - 1] = rest;
  }
  if (lines.length <= most) return lines;
  return [...lines.slice(0, most - 1), `${lines[most - 1].slice(0, -1)}…`];
}

/** Address of a PNG. @param {CanvasImageSource} view what is seen: the picture with its map or its territories
 * @param {{caption: string, seed: number, read: {words: string[]} | null}} drawing @param {string} from where it was drawn */
export async function card(view, {caption, seed, read}, from) {
  const canvas = make('canvas', {width: WIDTH, height: HEIGHT}), context = contextOf(canvas);
  await document.fonts?.ready;
  context.fillStyle = '#fafaf9';
  context.fillRect(0, 0, WIDTH, HEIGHT);
  context.imageSmoothingQuality = 'high';
  context.drawImage(view, 0, 0, HEIGHT, HEIGHT);
  let top = 60;
  /** @param {string} text @param {string} font @param {number} size @param {string} ink @param {number} most */
  const write = (text, font, size, ink, most) => {
    context.font = font.replace('SIZE', `${size}px`);
    context.fillStyle = ink;
    for (const line of linesOf(text, (part) => context.measureText(part).width, ROOM, most)) {
      top += size * 1.32;
      context.fillText(line, LEFT, top);
    }
  };
  write('MirrorGAN', `700 SIZE ${SANS}`, 44, '#0f766e', 1);
  top += 32;
  write('Your caption', `400 SIZE ${SANS}`, 21, '#57534e', 1);
  write(caption, `700 SIZE ${SANS}`, 30, '#1c1917', 5);
  if (read) {
    top += 30;
    write('What the model sees in its picture', `400 SIZE ${SANS}`, 21, '#57534e', 1);
    write(read.words.join(' '), `italic 400 SIZE ${SERIF}`, 31, '#1c1917', 5);
  }
  top = HEIGHT - 70;
  write(`seed ${seed}${from ? ` · ${from}` : ''}`, `400 SIZE ${SANS}`, 19, '#57534e', 1);
  return canvas.toDataURL('image/png');
}
