type Child = Node | string | false | undefined;
type Props<T extends HTMLElement> = Partial<Omit<T, 'style' | 'dataset' | 'children'>> & {
  readonly data?: Readonly<Record<string, string>>;
  readonly aria?: Readonly<Record<string, string>>;
  readonly vars?: Readonly<Record<string, string>>;
};

/** An element with its properties, `data-` and `aria-` attributes, custom properties of its style, and children. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  { data = {}, aria = {}, vars = {}, ...props }: Props<HTMLElementTagNameMap[K]> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = Object.assign(document.createElement(tag), props);
  for (const [name, value] of Object.entries(data)) element.dataset[name] = value;
  for (const [name, value] of Object.entries(aria))
    element.setAttribute(name === 'role' ? name : `aria-${name}`, value);
  for (const [name, value] of Object.entries(vars)) element.style.setProperty(name, value);
  element.append(...children.filter(child => child !== false && child !== undefined));
  return element;
}

export const button = (text: string, onclick: () => void, className = ''): HTMLButtonElement =>
  h('button', { type: 'button', textContent: text, onclick, className });

/** A checkbox with its words. */
export function checkbox(
  text: string,
  onchange: (isOn: boolean) => void,
): { label: HTMLLabelElement; input: HTMLInputElement } {
  const input = h('input', { type: 'checkbox' });
  input.onchange = () => onchange(input.checked);
  return { label: h('label', { className: 'check' }, input, text), input };
}
