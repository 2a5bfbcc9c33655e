// The viewer on a page of its own, with one drawing in it; see `page` in app/export.py.

import {Mirror} from './mirror.js';

export function start() {
  document.documentElement.classList.toggle('dark', matchMedia('(prefers-color-scheme: dark)').matches);
  const drawing = JSON.parse(/** @type {HTMLElement} */ (document.getElementById('drawing')).textContent ?? '');
  new Mirror(/** @type {HTMLElement} */ (document.getElementById('mirror'))).show(drawing);
}
