import type { Colours } from './colours.ts';
import { button, checkbox, h } from './dom.ts';
import { HeadDrawing } from './head-drawing.ts';
import { PATTERNS, patternIndex, strongestPattern } from './patterns.ts';
import { type Actions, headName, shownHead, type ViewState } from './state.ts';

export interface HeadPanelActions extends Actions {
  save(format: 'png' | 'svg' | 'json'): void;
}

/** One head, large: its name and scores, how it is drawn, the drawing, and what can be done with a token. */
export class HeadPanel {
  readonly root = h('section', { className: 'head', aria: { label: 'One head' } });
  readonly drawing: HeadDrawing;
  readonly #actions: HeadPanelActions;
  readonly #name = h('h2', {});
  readonly #badge = h('span', { className: 'badge' });
  /** The name and the buttons that save. */
  readonly line: HTMLElement;
  /** Shows the head alone, and all heads again. */
  readonly solo: HTMLButtonElement;
  readonly #modes = h('div', { className: 'segments', aria: { role: 'group', label: 'Drawn as' } });
  readonly #threshold = h('input', { type: 'range', min: '0', max: '0.9', step: '0.01' });
  readonly #thresholdValue = h('output', {});
  readonly #special: ReturnType<typeof checkbox>;
  readonly #cross: ReturnType<typeof checkbox>;
  readonly #token = h('div', { className: 'token-bar', aria: { live: 'polite' } });
  /** The scores of the head stand apart: beside the drawing where there is room. */
  readonly scores = h('section', { className: 'scores', aria: { label: 'What this head does on this text' } });
  readonly #list = h('dl', {});

  constructor(actions: HeadPanelActions) {
    this.#actions = actions;
    this.drawing = new HeadDrawing(actions);
    this.solo = button('Alone', () => actions.set({ isSolo: !this.#isSolo, preview: undefined }));
    for (const mode of ['lines', 'matrix'] as const) {
      const choice = button(mode === 'lines' ? 'Lines' : 'Matrix', () => actions.set({ mode }));
      choice.dataset.mode = mode;
      this.#modes.append(choice);
    }
    this.#threshold.oninput = () => actions.set({ threshold: Number(this.#threshold.value) });
    this.#special = checkbox('Hide special tokens', hideSpecial => actions.set({ hideSpecial }));
    this.#cross = checkbox('First text to second only', crossOnly => actions.set({ crossOnly }));
    const save = h('div', { className: 'save', aria: { role: 'group', label: 'Save' } });
    for (const format of ['png', 'svg', 'json'] as const) {
      const saveButton = button(format.toUpperCase(), () => actions.save(format), 'quiet');
      saveButton.title = format === 'json' ? 'Save every head as JSON' : `Save this head as ${format.toUpperCase()}`;
      save.append(saveButton);
    }
    this.scores.append(h('h3', { textContent: 'What this head does on this text' }), this.#list);
    const name = h('div', { className: 'head-name' }, this.#name, this.#badge);
    this.line = h('div', { className: 'head-line' }, name, save, this.solo);
    this.root.append(
      this.line,
      h(
        'div',
        { className: 'head-options' },
        this.#modes,
        h('label', { className: 'range' }, 'At least', this.#threshold, this.#thresholdValue),
        this.#special.label,
        this.#cross.label,
      ),
      this.drawing.root,
      this.#token,
    );
  }

  #isSolo = false;

  update(state: ViewState, width: number, colours: Colours): void {
    const { view, isSolo, mode, threshold, hideSpecial, crossOnly } = state;
    if (!view) return;
    this.#isSolo = isSolo;
    this.solo.textContent = isSolo ? 'All heads' : 'Alone';
    for (const choice of this.#modes.children) {
      choice.setAttribute('aria-pressed', String((choice as HTMLElement).dataset.mode === mode));
    }
    this.#threshold.value = String(threshold);
    this.#thresholdValue.textContent = threshold.toFixed(2);
    this.#special.input.checked = hideSpecial;
    this.#cross.input.checked = crossOnly;
    this.#cross.label.hidden = !view.tokens.some(token => token.segment === 1);
    this.#showToken(state);
    this.show(state);
    this.drawing.update(state, width, colours);
  }

  /** Another head is under the pointer. */
  show(state: ViewState): void {
    const { view, differences } = state;
    if (!view) return;
    const index = shownHead(state);
    this.#name.textContent = headName(view, index);
    const strongest = strongestPattern(view.scores, index);
    this.#badge.hidden = strongest === undefined || differences !== undefined;
    if (strongest) {
      const { title } = PATTERNS[patternIndex(strongest)]!;
      this.#badge.textContent = title;
      this.#badge.style.setProperty('--dot', `var(--ba-${strongest})`);
    }
    this.#list.replaceChildren(
      ...PATTERNS.map(({ id, title, formula, threshold }, k) => {
        const score = view.scores[index * PATTERNS.length + k]!;
        return h(
          'div',
          {
            className: score >= threshold ? 'has' : '',
            vars: { '--dot': `var(--ba-${id})`, '--score': String(score) },
          },
          h('dt', {}, title, h('code', { textContent: formula })),
          h('dd', { textContent: score.toFixed(2) }),
        );
      }),
    );
  }

  /** The token that was chosen: the button that masks it, and what is guessed for masked ones. */
  #showToken({ view, token, differences }: ViewState): void {
    const { tokens, guesses } = view!;
    const chosen = token === undefined ? undefined : tokens[token];
    const masked = [...tokens.keys()].filter(i => tokens[i]!.isMasked);
    const parts: Node[] = [];
    if (!differences && chosen && chosen.word !== null) {
      const words = chosen.isMasked ? `Unmask “${chosen.text}”` : `Mask “${chosen.text}”`;
      parts.push(button(words, () => this.#actions.toggleMask(token!), 'strong'));
    }
    for (const i of masked) {
      const list = guesses.get(i);
      const guessed = list?.map(({ text, score }) =>
        h(
          'li',
          { vars: { '--score': String(score) } },
          h('span', { textContent: text }),
          h('b', { textContent: score.toFixed(2) }),
        ),
      );
      parts.push(
        h(
          'div',
          { className: 'guesses' },
          h('p', { textContent: `In place of “${tokens[i]!.text}”:` }),
          guessed
            ? h('ol', {}, ...guessed)
            : h('p', {
                className: 'quiet',
                textContent: 'This checkpoint has no masked-LM head to guess with; its attention changes all the same.',
              }),
        ),
      );
    }
    if (parts.length === 0) {
      parts.push(
        h('p', {
          className: 'quiet',
          textContent: 'Point at a token to see where it looks; click keeps it, double-click masks it.',
        }),
      );
    }
    const { activeElement } = this.root.getRootNode() as ShadowRoot;
    const hadFocus = this.#token.contains(activeElement);
    this.#token.replaceChildren(...parts);
    // The button that masks is another one now; where there is none, the token is what was being worked on.
    if (hadFocus) (this.#token.querySelector('button') ?? this.drawing.focusable)?.focus();
  }
}
