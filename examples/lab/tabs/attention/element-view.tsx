import { useEffect, useRef } from 'preact/hooks';
import { BertAttention, type DrawingOptions, type HeadSelection, INITIAL } from '../../attention/index.ts';
import { params, setParams } from '../../shell/route.ts';
import { theme } from '../../shell/theme.ts';
import { otherView, reading, TAB, toggleMask } from './readings.ts';

// The page loads the models itself: of the element it has what draws alone.
customElements.define('bert-attention', BertAttention);

/** The head that the address names, "layer.head" from 1. */
function selectionOf(named: string | null): HeadSelection | undefined {
  const [layer, head] = (named ?? '').split('.').map(Number);
  return layer && head ? { layer: layer - 1, head: head - 1 } : undefined;
}

/** How heads are drawn, of the address: what differs from the usual stands there. */
function drawingOf(address: URLSearchParams): DrawingOptions {
  const least = Number(address.get('least') ?? Number.NaN);
  return {
    mode: address.has('matrix') ? 'matrix' : 'lines',
    threshold: least >= 0 && least <= 0.9 ? least : INITIAL.threshold,
    hideSpecial: address.has('words'),
    crossOnly: address.has('across'),
  };
}

function setDrawing({ mode, threshold, hideSpecial, crossOnly }: DrawingOptions): void {
  setParams(TAB, {
    matrix: mode === 'matrix' ? '' : undefined,
    least: threshold === INITIAL.threshold ? undefined : String(threshold),
    words: hideSpecial ? '' : undefined,
    across: crossOnly ? '' : undefined,
  });
}

/** The custom element, told what to show and asked what was chosen. */
export function ElementView({ isCompared }: { isCompared: boolean }) {
  const box = useRef<HTMLDivElement>(null);
  const element = useRef<BertAttention | null>(null);
  useEffect(() => {
    const made = new BertAttention();
    element.current = made;
    made.addEventListener('headselect', event => {
      const { layer, head } = (event as CustomEvent<HeadSelection>).detail;
      setParams(TAB, { head: `${layer + 1}.${head + 1}` });
    });
    made.addEventListener('drawingchange', event => setDrawing((event as CustomEvent<DrawingOptions>).detail));
    made.addEventListener('tokenmask', event => toggleMask((event as CustomEvent<{ index: number }>).detail.index));
    box.current!.append(made);
    return () => made.remove();
  }, []);
  const { view, elapsedMs } = reading.value ?? {};
  const isLive = elapsedMs !== undefined;
  const other = isCompared ? otherView.value : undefined;
  const address = params.value;
  const named = address.get('head');
  useEffect(() => {
    const shown = element.current!;
    shown.data = view;
    shown.compare = other;
    shown.toggleAttribute('data-live', isLive);
    // The model may have more heads than the view before it; and a link that is followed names another head.
    const selection = selectionOf(named);
    if (view && selection) shown.selection = selection;
  }, [view, other, isLive, named]);
  useEffect(() => {
    element.current!.drawing = drawingOf(address);
  }, [address]);
  const colours = theme.value;
  useEffect(() => element.current?.repaint(), [colours]);
  return <div ref={box} />;
}
