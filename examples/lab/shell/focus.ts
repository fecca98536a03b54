/** The focus stays on the page: where what has it is taken out or switched off, what stands nearest gets it. */

const CONTROLS = 'a[href], button, input, select, textarea, summary, [tabindex]';
/** What can take the focus for all that stood in it. */
const REGIONS = 'section, main';

const isThere = (element: HTMLElement): boolean =>
  element.isConnected && !element.matches(':disabled') && element.checkVisibility({ visibilityProperty: true });

/** What had the focus last, all that it stood in, and the controls of the page as they were then, in their order. */
interface Place {
  readonly element: HTMLElement;
  readonly around: readonly HTMLElement[];
  readonly controls: readonly HTMLElement[];
}

function placeOf(element: HTMLElement, root: HTMLElement): Place {
  const around: HTMLElement[] = [];
  for (let above = element.parentElement; above && root.contains(above); above = above.parentElement)
    around.push(above);
  return { element, around, controls: [...root.querySelectorAll<HTMLElement>(CONTROLS)] };
}

/** The control behind the place, else the one before it, else any: in the smallest part of the page that has one. */
function nearest({ element, around, controls }: Place): HTMLElement | undefined {
  const at = controls.indexOf(element);
  const others = [...controls.slice(at + 1), ...controls.slice(0, at).reverse()];
  for (const above of around) {
    if (!above.isConnected) continue;
    const isIn = (other: HTMLElement) => above.contains(other) && other.tabIndex >= 0 && isThere(other);
    const found = others.find(isIn) ?? [...above.querySelectorAll<HTMLElement>(CONTROLS)].find(isIn);
    if (found) return found;
    if (!above.matches(REGIONS)) continue;
    above.tabIndex = -1;
    return above;
  }
  return undefined;
}

/** From now on, for everything below an element. */
export function keepFocus(root: HTMLElement): void {
  let last: Place | undefined;
  const isLost = () => last !== undefined && !isThere(last.element);
  root.addEventListener('focusin', ({ target }) => {
    last = placeOf(target as HTMLElement, root);
  });
  root.addEventListener('focusout', () => {
    // Whoever goes elsewhere has given it up. Browsers differ in whether what is taken out tells of its going.
    queueMicrotask(() => {
      if (document.activeElement === document.body && !isLost()) last = undefined;
    });
  });
  new MutationObserver(() => {
    const { activeElement } = document;
    if (!last || !isLost() || (activeElement !== document.body && activeElement !== last.element)) return;
    const next = nearest(last);
    last = undefined;
    next?.focus({ preventScroll: true });
  }).observe(root, { subtree: true, childList: true, attributes: true, attributeFilter: ['disabled', 'hidden'] });
}
