// How maps are shown: the controls.

import {colourNames} from './colours.js';
import {make} from './dom.js';
import {changeSettings, settings} from './settings.js';

/** @param {'shared' | 'clear' | 'cut' | 'squares'} name @param {string} label */
function box(name, label) {
  const input = make('input', {type: 'checkbox', checked: settings[name], onchange: () => changeSettings({[name]: input.checked})});
  return make('label', {}, input, ` ${label}`);
}

export function controls() {
  const colours = make('select', {onchange: () => changeSettings({colours: colours.value})}, colourNames.map((name) => make('option', {value: name}, name)));
  const opacity = make('input', {type: 'range', min: 0, max: 1, step: 0.05, value: settings.opacity, oninput: () => changeSettings({opacity: Number(opacity.value)})});
  return make('div', {class: 'mv-look', role: 'group', 'aria-label': 'How maps are shown'},
    make('label', {}, 'Colours ', colours), make('label', {}, 'Opacity ', opacity),
    box('shared', 'One scale for all words'), box('clear', 'Clear where low'), box('cut', 'Cut off peaks'), box('squares', 'Square pixels'));
}
