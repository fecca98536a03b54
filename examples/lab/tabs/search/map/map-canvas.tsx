import { useSignal } from '@preact/signals';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { count } from '../../../shell/format.ts';
import { theme } from '../../../shell/theme.ts';
import { pointed, selected } from '../state.ts';
import { beginningOf, type TextIndex, textOf } from '../text-index.ts';
import type { SentenceMap } from './map-state.ts';
import { groupsOf, type MapColours, type Marks, paintMarks, paintPoints, type Shades } from './paint.ts';
import { moved, pointAt, pointTowards, type Size, type View, wholeView, zoomed } from './view.ts';

/** A finger is less exact than a pointer. */
const REACH = { mouse: 12, touch: 22 } as const;
/** A pointer that moved no further than this has clicked. */
const CLICK = 5;
/** `--file-1` to `--file-6` of the style. */
export const FILE_COLOURS = 6;

function coloursOf(element: Element): MapColours {
  const style = getComputedStyle(element);
  const value = (name: string) => style.getPropertyValue(name).trim();
  // A custom property keeps light-dark() as it is written; what is computed from it is one colour.
  const probe = document.createElement('span');
  element.append(probe);
  const colour = (name: string) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color || value(name);
  };
  const colours = {
    quiet: colour('--quiet'),
    accent: colour('--accent'),
    ink: colour('--ink'),
    paper: colour('--raised'),
    files: Array.from({ length: FILE_COLOURS }, (_, i) => colour(`--file-${i + 1}`)),
  };
  probe.remove();
  return colours;
}

/** Paints in the next frame after something has changed. The map may be gone by then. */
function useFrame(paint: () => void, changes: readonly unknown[]): void {
  useEffect(() => {
    const frame = requestAnimationFrame(paint);
    return () => cancelAnimationFrame(frame);
  }, changes);
}

/** A canvas at the resolution of the screen. Undefined while it has no size. */
function contextOf(canvas: HTMLCanvasElement | null, { width, height }: Size): CanvasRenderingContext2D | undefined {
  const context = canvas?.getContext('2d');
  if (!canvas || !context || width === 0) return undefined;
  const [across, down] = [width, height].map(length => Math.round(length * devicePixelRatio)) as [number, number];
  // A canvas that is given a size is made anew.
  if (canvas.width !== across || canvas.height !== down) {
    canvas.width = across;
    canvas.height = down;
  }
  context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  return context;
}

interface MapCanvasProps {
  index: TextIndex;
  map: SentenceMap;
  shades: Shades;
  marks: Marks;
}

/** The points, with pan and zoom by pointer, fingers and keys; a passage below the pointer is pointed at, one that is clicked is chosen. */
export function MapCanvas({ index, map, shades, marks }: MapCanvasProps) {
  /** The upper canvas has the marks, and takes the pointer and the keys. */
  const canvas = useRef<HTMLCanvasElement>(null);
  const lower = useRef<HTMLCanvasElement>(null);
  const box = useRef<HTMLDivElement>(null);
  const size = useSignal<Size>({ width: 0, height: 0 });
  /** Undefined: all points, as the map grows and the page changes its size. */
  const view = useSignal<View | undefined>(undefined);
  const hover = useSignal<{ x: number; y: number } | undefined>(undefined);
  const { positions } = map;
  const { width, height } = size.value;
  const whole = useMemo(() => wholeView(positions, { width, height }), [positions, width, height]);
  const now = view.value ?? whole;
  useEffect(() => {
    const watcher = new ResizeObserver(([entry]) => {
      const { width, height } = entry!.contentRect;
      size.value = { width, height };
    });
    watcher.observe(box.current!);
    return () => watcher.disconnect();
  }, []);
  useEffect(() => {
    view.value = undefined;
  }, [map.id, map.kind]);
  const scheme = theme.value;
  const points = positions.length / 2;
  const groups = useMemo(() => groupsOf(points, shades, FILE_COLOURS), [points, shades]);
  useFrame(() => {
    const context = contextOf(lower.current, size.value);
    if (context) paintPoints(context, size.value, now, positions, groups, coloursOf(box.current!));
  }, [positions, groups, now, scheme]);
  useFrame(() => {
    const context = contextOf(canvas.current, size.value);
    if (context) paintMarks(context, size.value, now, positions, marks, coloursOf(box.current!));
  }, [positions, marks, now, scheme]);
  const pointers = useRef(new Map<number, { x: number; y: number }>());
  const travelled = useRef(0);
  const placeIn = (event: PointerEvent | MouseEvent) => {
    const { left, top } = canvas.current!.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  };
  const rowAt = ({ x, y }: { x: number; y: number }, type: string) =>
    pointAt(positions, now, size.value, x, y, type === 'touch' ? REACH.touch : REACH.mouse);
  const zoom = (factor: number, { x, y } = { x: size.value.width / 2, y: size.value.height / 2 }) => {
    view.value = zoomed(now, whole, size.value, factor, x, y);
  };
  const onMove = (event: PointerEvent) => {
    const place = placeIn(event);
    const before = pointers.current.get(event.pointerId);
    if (!before) {
      const row = rowAt(place, event.pointerType);
      hover.value = row === undefined ? undefined : place;
      pointed.value = row;
      return;
    }
    const others = [...pointers.current].filter(([id]) => id !== event.pointerId).map(([, other]) => other);
    pointers.current.set(event.pointerId, place);
    travelled.current += Math.hypot(place.x - before.x, place.y - before.y);
    const [other] = others;
    if (other) {
      const spread = (from: { x: number; y: number }) => Math.max(1, Math.hypot(from.x - other.x, from.y - other.y));
      zoom(spread(place) / spread(before), { x: (place.x + other.x) / 2, y: (place.y + other.y) / 2 });
    } else if (travelled.current > CLICK) {
      hover.value = undefined;
      view.value = moved(now, place.x - before.x, place.y - before.y);
    }
  };
  const onUp = (event: PointerEvent) => {
    if (!pointers.current.delete(event.pointerId)) return;
    if (travelled.current > CLICK || event.type !== 'pointerup') return;
    const row = rowAt(placeIn(event), event.pointerType);
    selected.value = row === selected.value ? undefined : row;
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const from = marks.row ?? shades.hits[0] ?? 0;
    const next =
      marks.row === undefined && event.key.startsWith('Arrow') ? from : pointTowards(positions, from, event.key);
    if (next !== undefined) selected.value = next;
    else if (event.key === '+' || event.key === '=') zoom(1.5);
    else if (event.key === '-') zoom(1 / 1.5);
    else if (event.key === '0') view.value = undefined;
    else if (event.key === 'Escape') selected.value = undefined;
    else return;
    event.preventDefault();
  };
  // Wheel listeners of the framework are passive: the page would scroll as well.
  useEffect(() => {
    const target = canvas.current!;
    const onWheel = (event: WheelEvent) => {
      // A pinch on a trackpad comes as a wheel with Ctrl. The wheel alone scrolls the page.
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      zoom(Math.exp(-event.deltaY / 200), placeIn(event));
    };
    target.addEventListener('wheel', onWheel, { passive: false });
    return () => target.removeEventListener('wheel', onWheel);
  });
  const tip = hover.value && marks.row !== undefined ? textOf(index, marks.row) : undefined;
  return (
    <div class="map-box" ref={box}>
      <canvas ref={lower} class="map-canvas" />
      {/* biome-ignore lint/a11y/noInteractiveElementToNoninteractiveRole: the map has keys of its own, which a reader hands on to an application. */}
      <canvas
        ref={canvas}
        class="map-canvas"
        tabIndex={0}
        role="application"
        aria-label={`Map of ${count(map.rows, 'passage')}. Arrow keys go from one to the next, plus and minus zoom.`}
        onPointerDown={event => {
          canvas.current!.setPointerCapture(event.pointerId);
          pointers.current.set(event.pointerId, placeIn(event));
          travelled.current = 0;
        }}
        onPointerMove={onMove}
        onPointerUp={onUp}
        onPointerCancel={onUp}
        onPointerLeave={() => {
          hover.value = undefined;
          pointed.value = undefined;
        }}
        onDblClick={event => zoom(2, placeIn(event))}
        onKeyDown={onKeyDown}
      />
      {tip && (
        <p
          class="map-tip"
          aria-hidden="true"
          style={{
            '--x': `${Math.min(hover.value!.x, size.value.width)}px`,
            '--y': `${hover.value!.y}px`,
            '--side': hover.value!.x > size.value.width / 2 ? '-100%' : '0%',
          }}
        >
          {beginningOf(tip, 160)}
        </p>
      )}
      <span class="map-zoom">
        <button type="button" class="button button-small" aria-label="Zoom in" onClick={() => zoom(1.5)}>
          +
        </button>
        <button type="button" class="button button-small" aria-label="Zoom out" onClick={() => zoom(1 / 1.5)}>
          −
        </button>
        <button
          type="button"
          class="button button-small"
          disabled={view.value === undefined}
          onClick={() => {
            view.value = undefined;
          }}
        >
          All
        </button>
      </span>
    </div>
  );
}
